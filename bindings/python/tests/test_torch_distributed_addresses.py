"""Which addresses the ranks of a torch process group listen on and say to each other."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from torch._C._distributed_c10d import HashStore, PrefixStore, TCPStore  # noqa: E402

from hawser.torch import distributed_rendezvous as rendezvous  # noqa: E402
from hawser.torch.distributed import Options  # noqa: E402


@pytest.mark.parametrize(
    ("master", "here", "options", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", {}, ("127.0.0.1", "")),
        ("localhost", "::1", {}, ("::1", "")),
        ("127.0.0.1", "127.0.0.1", {"advertise_address": "10.0.0.7"}, ("", "10.0.0.7")),
        ("10.0.0.5", "10.0.0.7", {}, ("", "")),
        ("10.0.0.5", "10.0.0.7", {"listen_address": "10.0.0.7"}, ("10.0.0.7", "")),
        ("head", "127.0.1.1", {}, ("", "head")),
        ("head", "127.0.1.1", {"advertise_address": "10.0.0.5"}, ("", "10.0.0.5")),
    ],
)
def test_of_a_rank(
    monkeypatch: pytest.MonkeyPatch, master: str, here: str, options: dict[str, str], expected: tuple[str, str]
) -> None:
    monkeypatch.setattr(rendezvous, "_local_address_towards", lambda _: here)
    assert rendezvous._peer_addresses(master, Options(**options)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("store", "here", "advertised", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", "", ("127.0.0.1", "127.0.0.1")),
        (None, "127.0.0.1", "", ("127.0.0.1", "127.0.0.1")),
        (None, "127.0.0.1", "10.0.0.5", ("0.0.0.0", "10.0.0.5")),
        ("10.0.0.5", "10.0.0.5", "", ("0.0.0.0", "10.0.0.5")),
        ("fd00::5", "fd00::5", "", ("::", "fd00::5")),
        ("10.0.0.9", "10.0.0.5", "", ("0.0.0.0", "10.0.0.5")),
        ("head", "127.0.1.1", "", ("0.0.0.0", "head")),
    ],
)
def test_of_the_master(
    monkeypatch: pytest.MonkeyPatch, store: str | None, here: str, advertised: str, expected: tuple[str, str]
) -> None:
    monkeypatch.setattr(rendezvous, "_local_address_towards", lambda _: here)
    monkeypatch.setattr(rendezvous, "_store_host", lambda _: store)
    assert rendezvous._master_addresses(HashStore(), advertised) == expected


def test_the_host_of_the_store_is_found() -> None:
    tcp = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    assert rendezvous._store_host(PrefixStore("a", PrefixStore("b", tcp))) == "127.0.0.1"
    assert rendezvous._store_host(PrefixStore("a", HashStore())) is None
    assert rendezvous._local_address_towards("127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize("host", ["10.0.0.5", "fd00::5", "head"])
def test_an_address_is_taken_apart_as_it_was_put_together(host: str) -> None:
    assert rendezvous._host(rendezvous._joined(host, "48500")) == host
