"""Messages between the ranks of a torch process group: send and recv, all_to_all, pipelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

pytest.importorskip("torch")

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from peers import run_threads  # noqa: E402
from torch_groups import group_of  # noqa: E402
from torch_ranks import Ranks, started  # noqa: E402

import hawser  # noqa: E402
from hawser.torch.distributed import ProcessGroupBroken  # noqa: E402


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request: pytest.FixtureRequest) -> Iterator[Ranks]:
    with started(request.param) as group:
        yield group
        group.end()


def values(source: int, to: int, shape: tuple[int, ...] = (5,)) -> torch.Tensor:
    return torch.full(shape, 10.0 * source + to)


def send_and_recv() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    for source in range(world):
        for to in range(world):
            if source == to:
                continue
            if rank == source:
                dist.send(values(source, to, (300, 300)), to, tag=to)
            elif rank == to:
                tensor = torch.zeros(300, 300)
                assert dist.recv(tensor, source, tag=to) == source
                assert torch.equal(tensor, values(source, to, (300, 300)))


def recv_from_anybody() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    if rank > 0:
        dist.send(values(rank, 0), 0)
        return
    came = []
    for _ in range(1, world):
        tensor = torch.zeros(5)
        source = dist.recv(tensor)
        assert torch.equal(tensor, values(source, 0))
        came.append(source)
    assert sorted(came) == list(range(1, world))


def batch() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    after, before = (rank + 1) % world, (rank - 1) % world
    received = torch.zeros(4, 3).t()  # not contiguous
    works = dist.batch_isend_irecv(
        [
            dist.P2POp(dist.isend, values(rank, after, (3, 4)), after),
            dist.P2POp(dist.irecv, received, before),
        ]
    )
    for work in works:
        work.wait()
    assert torch.equal(received, values(before, rank, (3, 4)))


def beside_collectives() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    after, before = (rank + 1) % world, (rank - 1) % world
    received = [torch.zeros(1000) for _ in range(20)]
    works = [dist.irecv(tensor, before, tag=i) for i, tensor in enumerate(received)]
    reduced = torch.ones(100_000)
    reduction = dist.all_reduce(reduced, async_op=True)
    works += [dist.isend(values(rank, i, (1000,)), after, tag=i) for i in reversed(range(20))]
    for work in works:
        assert work is not None
        work.wait()
    assert reduction is not None
    reduction.wait()
    assert (reduced == world).all()
    for i, tensor in enumerate(received):
        assert torch.equal(tensor, values(before, i, (1000,)))


def all_to_all() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    outputs = [torch.zeros(rank + 2) for _ in range(world)]
    dist.all_to_all(outputs, [values(rank, to, (to + 2,)) for to in range(world)])
    for source, part in enumerate(outputs):
        assert torch.equal(part, values(source, rank, (rank + 2,)))
    # Rank r sends s rows to rank s, so none to rank 0.
    sent = torch.cat([values(rank, to, (to, 2)) for to in range(world)])
    received = torch.zeros(rank * world, 2)
    dist.all_to_all_single(received, sent, [rank] * world, list(range(world)))
    for source in range(world):
        assert torch.equal(received[rank * source : rank * (source + 1)], values(source, rank, (rank, 2)))
    equal = torch.zeros(world)
    dist.all_to_all_single(equal, torch.arange(float(world)) + 10 * rank)
    assert torch.equal(equal, torch.arange(float(world)) * 10 + rank)


def refused() -> None:
    rank = dist.get_rank()
    tensor = torch.zeros(3)
    with pytest.raises(ValueError, match="don't divide"):
        dist.all_to_all_single(torch.zeros(7), torch.zeros(7))
    with pytest.raises(ValueError, match="itself|same as"):
        dist.send(tensor, rank)


@pytest.mark.parametrize("check", [send_and_recv, recv_from_anybody, batch, beside_collectives, all_to_all, refused])
def test_messages(ranks: Ranks, check: Callable[[], None]) -> None:
    ranks.run(check)


def test_a_lost_rank_ends_its_messages(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> str:
        group = group_of(comm, rank_at=[1, 0])
        group.barrier().wait()  # both have seen that the group is whole
        if group.rank() == 0:
            group.shutdown()
            return ""
        with pytest.raises(ProcessGroupBroken) as raised:
            group.recv([torch.zeros(3)], 0, 0).wait()
        group.shutdown()
        return str(raised.value)

    assert any("and lost rank 0" in text for text in run_threads(master.address, 2, body))


def test_an_all_to_all_that_fails_ends_the_group(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> str:
        group = group_of(comm, timeout=timedelta(seconds=1))
        rank = group.rank()
        inputs = [torch.zeros(2), torch.zeros(2)]
        try:
            if late:
                if rank == 1:
                    comm.wait(epoch=comm.epoch, timeout_ms=60_000)  # until the other one has left
                    return ""
            else:
                inputs[1 - rank] = torch.zeros(2 + rank)
            with pytest.raises(ProcessGroupBroken) as raised:
                group.alltoall([torch.zeros(2), torch.zeros(2)], inputs).wait()
            with pytest.raises(ProcessGroupBroken):
                group.barrier().wait()
            return str(raised.value)
        finally:
            group.shutdown()

    late = True
    assert "timed out" in run_threads(master.address, 2, body)[0]
    late = False
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
        texts = run_threads(another.address, 2, body)
    assert any("12 bytes" in text and "8 bytes" in text for text in texts)
