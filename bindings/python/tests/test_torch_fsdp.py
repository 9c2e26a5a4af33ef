"""Two shards at each site, joined by gloo; DiLoCo between the sites. Sites come and go as wholes."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from peers import PeerProcess, ends_at_once, run_threads
from training_watch import Watched, agreeing

import hawser

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402
from torch.distributed.fsdp import fully_shard  # noqa: E402

from hawser.torch import AsyncDiLoCo, DiLoCo, Site, StreamingDiLoCo  # noqa: E402

H = 4
SHARDS = 2
Maker = Callable[..., Any]


def make_diloco(parameters: Any, inner: Any, comm: hawser.Communicator, **options: Any) -> DiLoCo:
    return DiLoCo(parameters, inner, comm, sync_every=H, alone_timeout_s=60, **options)


def make_async(parameters: Any, inner: Any, comm: hawser.Communicator, **options: Any) -> AsyncDiLoCo:
    return AsyncDiLoCo(parameters, inner, comm, sync_every=H, alone_timeout_s=60, **options)


def make_streaming(parameters: Any, inner: Any, comm: hawser.Communicator, **options: Any) -> StreamingDiLoCo:
    fixed = {"sync_every": H, "fragments": 2, "overlap": 1, "alone_timeout_s": 60}
    return StreamingDiLoCo(parameters, inner, comm, **{**fixed, **options})


MAKERS = [make_diloco, make_async, make_streaming]
SOAK = pytest.mark.soak


def new_model() -> Any:
    """7 and 3 rows: shards of unequal size. The bias of one row is on the first rank only."""
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3), torch.nn.Linear(3, 1))
    start = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=start))
    return model


def backward(model: Any, site: int, step: int) -> None:
    """Of equal data at all ranks of a site, so that their average is exact."""
    data = torch.Generator().manual_seed(100 * step + site)
    model(torch.randn(8, 5, generator=data)).square().mean().backward()


class ShardedRank:
    """A rank of a site, with its part of the model. `with` destroys the process group."""

    def __init__(self, folder: str, site: int, rank: int) -> None:
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{folder}/site{site}", rank=rank, world_size=SHARDS)
        self.number = site
        self.site = Site()
        self.model = new_model()
        fully_shard(self.model[0])
        fully_shard(self.model)
        self.inner = torch.optim.SGD(self.model.parameters(), lr=0.05)

    def __enter__(self) -> ShardedRank:
        return self

    def __exit__(self, *_: object) -> None:
        dist.destroy_process_group()

    def comm(self, address: str) -> hawser.Communicator:
        return self.site.communicator(address, listen_address="127.0.0.1", connect_ms=60_000)

    def train(self, optimizer: Any, steps: int) -> None:
        for step in range(steps):
            backward(self.model, self.number, step)
            optimizer.step()
            optimizer.zero_grad()

    def parts(self) -> dict[str, Any]:
        return {name: parameter.detach().to_local().clone() for name, parameter in self.model.named_parameters()}


@ends_at_once
def sharded_training(
    address: str, pipe: Connection, folder: str, site: int, rank: int, make: Maker, steps: int
) -> dict[str, Any]:
    with ShardedRank(folder, site, rank) as own, own.comm(address) as comm:
        optimizer = make(own.model.named_parameters(), own.inner, comm, site=own.site)
        while comm.group_size < 2:
            comm.update_topology()
        own.train(optimizer, steps)
        comm.barrier()
        dist.barrier()
        return {name: part.numpy().tobytes() for name, part in own.parts().items()}


def whole_training(address: str, make: Maker, steps: int) -> list[dict[str, bytes]]:
    """The same with plain modules."""

    def body(comm: hawser.Communicator) -> dict[str, bytes]:
        model = new_model()
        optimizer = make(model.named_parameters(), torch.optim.SGD(model.parameters(), lr=0.05), comm)
        for step in range(steps):
            backward(model, comm.rank, step)
            optimizer.step()
            optimizer.zero_grad()
        comm.barrier()
        return {name: parameter.detach().numpy().tobytes() for name, parameter in model.named_parameters()}

    return run_threads(address, 2, body)


@pytest.mark.parametrize("make", MAKERS)
def test_shards_train_as_whole_models_do(master: hawser.Master, tmp_path: Path, make: Maker) -> None:
    steps = 5 * H
    peers = [
        [
            PeerProcess(sharded_training, master.address, str(tmp_path), site, rank, make, steps)
            for rank in range(SHARDS)
        ]
        for site in range(2)
    ]
    sites = [[peer.result() for peer in site] for site in peers]
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
        whole = whole_training(another.address, make, steps)
    for name in whole[0]:
        joined = sorted(b"".join(rank[name] for rank in site) for site in sites)
        # Which site is which rank of its group is a matter of arrival.
        assert joined == sorted(each[name] for each in whole), name


@ends_at_once
def sharded_member(
    address: str, pipe: Connection, make: Maker, number: int, folder: str, rank: int, die: tuple[int, bool] | None
) -> None:
    """Trains until it is killed; tells its state after each outer step, and the sites that counted in it.

    die: in so many outer steps from now on this site dies: the rank of this process before its shard's sum (True), or
    after it, when its site would compare (False).
    """
    with ShardedRank(folder, number, rank) as own, own.comm(address) as comm:
        optimizer = make(own.model.named_parameters(), own.inner, comm, site=own.site)
        if die is not None:
            die_in_a_sum(optimizer, *die)
        pipe.send(("joined", optimizer.outer_steps))
        step = 0
        while True:
            backward(own.model, number, step)
            step += 1
            made = optimizer.step()
            optimizer.zero_grad()
            if made:
                told = f"{optimizer.digest()} {optimizer._counted}"
                pipe.send((optimizer.outer_steps, told, comm.group_size))


def die_in_a_sum(optimizer: Any, sums: int, before: bool) -> None:
    each = optimizer._sums[0]
    name = "reduce" if isinstance(optimizer, DiLoCo) else "finish"
    if before and name == "finish":
        name = "start"
    done = getattr(each, name)
    left = [sums]

    def deadly() -> Any:
        left[0] -= 1
        if left[0] > 0:
            return done()
        if not before:
            done()
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(each, name, deadly)


def watch_site(
    address: str, make: Maker, number: int, folder: Path, die: tuple[int, tuple[bool, bool]] | None = None
) -> list[Watched]:
    return [
        Watched(
            address,
            make,
            number,
            str(folder),
            rank,
            die and (die[0], die[1][rank]),
            body=sharded_member,
        )
        for rank in range(SHARDS)
    ]


@pytest.mark.parametrize(
    ("make", "first_before"),
    [
        (make_diloco, True),
        pytest.param(make_diloco, False, marks=SOAK),
        pytest.param(make_async, True, marks=SOAK),
        pytest.param(make_streaming, True, marks=SOAK),
    ],
)
def test_a_site_is_lost_in_the_middle_of_a_step_and_another_comes(
    master: hawser.Master, tmp_path: Path, make: Maker, first_before: bool
) -> None:
    """One of its shards counts in the sum, the other doesn't, until the others have noticed and sum again."""
    sites = [watch_site(master.address, make, number, tmp_path) for number in range(2)]
    watched = sum(sites, [])
    try:
        doomed = watch_site(master.address, make, 2, tmp_path, (4, (first_before, not first_before)))
        watched += doomed
        for each in doomed:
            each.until(lambda w: w.entered >= 0)
        for each in doomed:
            each.peer.process.join(60)
            assert each.peer.process.exitcode is not None
        for each in watched[:4]:
            each.until(lambda w: w.size == 2 and len(w.digests) >= 3)
        last = watched[0].step
        newcomers = watch_site(master.address, make, 3, tmp_path)
        watched += newcomers
        for each in newcomers:
            each.until(lambda w: w.step >= w.entered + 6 > 6)
        for each in watched[:4]:
            each.until(lambda w: w.step >= newcomers[0].entered + 6)
        assert newcomers[0].entered == newcomers[1].entered
        assert newcomers[0].entered >= last - 1
        for rank in range(SHARDS):
            assert agreeing(sites[0][rank], sites[1][rank]) >= 6
            assert agreeing(sites[0][rank], newcomers[rank]) >= 5
            agreeing(sites[0][rank], doomed[rank])
        for first, second in sites:
            both = first.digests.keys() & second.digests.keys()
            assert len(both) >= 8
            for step in both:
                assert contributors(first, step) == contributors(second, step), step
    finally:
        for each in watched:
            each.kill()


def contributors(rank: Watched, step: int) -> str:
    return rank.digests[step].split(" ", 1)[1]


@ends_at_once
def sharded_resume(
    address: str, pipe: Connection, folder: str, rank: int, make: Maker, saved: bytes | None
) -> tuple[bytes, dict[str, bytes]]:
    with ShardedRank(folder, 0 if saved is None else 1, rank) as own, own.comm(address) as comm:
        own.number = 0
        resume = None if saved is None else torch.load(io.BytesIO(saved), weights_only=False)
        optimizer = make(
            own.model.named_parameters(), own.inner, comm, site=own.site, on_alone="continue", resume=resume
        )
        file = io.BytesIO()
        if saved is None:
            own.train(optimizer, 2 * H + 1)
            torch.save(optimizer.state_dict(), file)
        own.train(optimizer, 2 * H)
        dist.barrier()
        return file.getvalue(), {name: part.numpy().tobytes() for name, part in own.parts().items()}


@pytest.mark.parametrize("make", [make_diloco, pytest.param(make_async, marks=SOAK)])
def test_resume(master: hawser.Master, tmp_path: Path, make: Maker) -> None:
    folder = str(tmp_path)
    peers = [PeerProcess(sharded_resume, master.address, folder, rank, make, None) for rank in range(SHARDS)]
    first = [peer.result() for peer in peers]
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
        peers = [
            PeerProcess(sharded_resume, another.address, folder, rank, make, first[rank][0]) for rank in range(SHARDS)
        ]
        assert [peer.result()[1] for peer in peers] == [parts for _, parts in first]


def test_data_parallel_is_not_for_shards(tmp_path: Path, master: hawser.Master) -> None:
    peers = [PeerProcess(refused_data_parallel, master.address, str(tmp_path), rank) for rank in range(SHARDS)]
    for peer in peers:
        assert "DiLoCo with a Site" in peer.result()


@ends_at_once
def refused_data_parallel(address: str, pipe: Connection, folder: str, rank: int) -> str:
    from hawser.torch import DataParallel

    with ShardedRank(folder, 0, rank) as own, own.comm(address) as comm, pytest.raises(TypeError) as refusal:
        DataParallel(own.model.parameters(), comm)
    return str(refusal.value)
