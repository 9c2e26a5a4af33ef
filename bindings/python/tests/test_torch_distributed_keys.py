"""Process groups of torch in runs with keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from peers import BOUND_S, communicator

import hawser

pytest.importorskip("torch")

from torch._C._distributed_c10d import HashStore  # noqa: E402

from hawser.torch.distributed import Options  # noqa: E402
from hawser.torch.distributed_rendezvous import Gathered, gather  # noqa: E402


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "run.secret"
    hawser.keygen(file)
    return file


@contextmanager
def lone_rank(options: Options) -> Iterator[Gathered]:
    """A group of one rank."""
    found = gather(
        HashStore(), rank=0, size=1, timeout=timedelta(seconds=BOUND_S), options=options, is_default=False
    )
    assert found.master is not None
    with found.master, found.comm:
        yield found


@pytest.mark.parametrize("named_by", ["options", "environment"])
def test_the_master_of_rank_0_hears_only_holders_of_keys(
    secret: Path, named_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named_by == "environment":
        monkeypatch.setenv("HAWSER_SECRET_FILE", str(secret))
    with lone_rank(Options(secret_file=secret if named_by == "options" else "")) as found:
        monkeypatch.delenv("HAWSER_SECRET_FILE", raising=False)
        assert found.master is not None and found.comm.world_size == 1
        with communicator(found.master.address) as stranger:
            with pytest.raises(hawser.MasterUnreachable, match="secret_file"):
                stranger.connect()


def test_ranks_of_several_machines_are_told_that_they_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HAWSER_SECRET_FILE", "HAWSER_INSECURE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(hawser.InvalidArgument, match="secret_file"):
        with lone_rank(Options(advertise_address="10.0.0.5")):
            pass
