"""Process groups of torch in runs with keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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


def gathered(options: Options, size: int = 2) -> list[Gathered]:
    """A group of ranks that are threads of this process."""
    store = HashStore()

    def one(rank: int) -> Gathered:
        bound = timedelta(seconds=BOUND_S)
        return gather(store, rank=rank, size=size, timeout=bound, options=options, is_default=False)

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))


@pytest.mark.parametrize("named_by", ["options", "environment"])
def test_the_master_of_rank_0_hears_only_holders_of_keys(
    secret: Path, named_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named_by == "environment":
        monkeypatch.setenv("HAWSER_SECRET_FILE", str(secret))
    first, second = gathered(Options(secret_file=secret if named_by == "options" else ""))
    monkeypatch.delenv("HAWSER_SECRET_FILE", raising=False)
    assert first.master is not None
    with first.master, first.comm, second.comm, communicator(first.master.address) as stranger:
        with pytest.raises(hawser.MasterUnreachable, match="secret_file"):
            stranger.connect()


def test_ranks_of_several_machines_are_told_that_they_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HAWSER_SECRET_FILE", "HAWSER_INSECURE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(hawser.InvalidArgument, match="secret_file"):
        gathered(Options(advertise_address="10.0.0.5"), size=1)
