"""The torch.distributed backend: every collective against values computed locally."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("torch")

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from peers import run_threads  # noqa: E402
from torch.distributed.distributed_c10d import _coalescing_manager  # noqa: E402
from torch_groups import group_of  # noqa: E402
from torch_ranks import Ranks, started  # noqa: E402

import hawser  # noqa: E402
from hawser.torch.distributed import HawserProcessGroup, Options, ProcessGroupBroken  # noqa: E402

DTYPES = ["float32", "bfloat16", "float16", "int64"]
COUNT = 1003


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request: pytest.FixtureRequest) -> Iterator[Ranks]:
    with started(request.param) as group:
        yield group
        group.end()


def sample(rank: int, dtype: str, count: int = COUNT) -> torch.Tensor:
    """Numbers whose sums and products are exact in all types, so that no order of addition matters."""
    generator = torch.Generator().manual_seed(rank + 1)
    values = torch.tensor([-2, -1, 1, 2, 3])
    return values[torch.randint(0, 5, (count,), generator=generator)].to(getattr(torch, dtype))


def samples(dtype: str, count: int = COUNT) -> torch.Tensor:
    return torch.stack([sample(rank, dtype, count) for rank in range(dist.get_world_size())])


def same(got: torch.Tensor, expected: torch.Tensor) -> None:
    assert got.dtype == expected.dtype
    assert torch.equal(got, expected), f"{got} is not {expected}"


REDUCED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "SUM": lambda all: all.sum(0).to(all.dtype),
    "PRODUCT": lambda all: all.prod(0).to(all.dtype),
    "MIN": lambda all: all.amin(0),
    "MAX": lambda all: all.amax(0),
}


def all_reduce(dtype: str) -> None:
    for name, reduced in REDUCED.items():
        tensor = sample(dist.get_rank(), dtype)
        dist.all_reduce(tensor, op=getattr(dist.ReduceOp, name))
        same(tensor, reduced(samples(dtype)))
    tensor = sample(dist.get_rank(), dtype)
    dist.all_reduce(tensor, op=dist.ReduceOp.AVG)
    mean = samples(dtype).double().mean(0)
    same(tensor, (mean if tensor.is_floating_point() else mean.round()).to(tensor.dtype))


def reduce_to_each(dtype: str) -> None:
    for root in range(dist.get_world_size()):
        tensor = sample(dist.get_rank(), dtype)
        dist.reduce(tensor, dst=root)
        at_root = samples(dtype).sum(0).to(tensor.dtype)
        same(tensor, at_root if dist.get_rank() == root else sample(dist.get_rank(), dtype))


def broadcast_from_each(dtype: str) -> None:
    for root in range(dist.get_world_size()):
        tensor = sample(dist.get_rank(), dtype)
        dist.broadcast(tensor, src=root)
        same(tensor, sample(root, dtype))


def all_gather(dtype: str) -> None:
    mine, everybody = sample(dist.get_rank(), dtype), samples(dtype)
    parts = [torch.zeros_like(mine) for _ in everybody]
    dist.all_gather(parts, mine)
    same(torch.stack(parts), everybody)
    whole = torch.zeros_like(everybody)
    dist.all_gather_into_tensor(whole, mine)
    same(whole, everybody)
    whole = torch.zeros_like(everybody)  # in place, as sharded training does
    whole[dist.get_rank()] = mine
    dist.all_gather_into_tensor(whole, whole[dist.get_rank()])
    same(whole, everybody)


def gather_and_scatter(dtype: str) -> None:
    rank, everybody = dist.get_rank(), samples(dtype)
    for root in range(dist.get_world_size()):
        parts = [torch.zeros_like(part) for part in everybody] if rank == root else None
        dist.gather(everybody[rank], parts, dst=root)
        if parts is not None:
            same(torch.stack(parts), everybody)
        part = torch.zeros_like(everybody[rank])
        dist.scatter(part, list(everybody) if rank == root else None, src=root)
        same(part, everybody[rank])


def reduce_scatter(dtype: str) -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    for name, reduced in REDUCED.items():
        op = getattr(dist.ReduceOp, name)
        expected = reduced(samples(dtype, world * COUNT)).view(world, COUNT)[rank]
        parts = list(sample(rank, dtype, world * COUNT).view(world, COUNT))
        output = torch.zeros_like(parts[0])
        dist.reduce_scatter(output, parts, op=op)
        same(output, expected)
        output = torch.zeros_like(parts[0])
        dist.reduce_scatter_tensor(output, sample(rank, dtype, world * COUNT), op=op)
        same(output, expected)


def coalesced(dtype: str) -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    counts = [1, 17, COUNT]
    with _coalescing_manager():
        reduced = [sample(rank, dtype, count) for count in counts]
        for tensor in reduced:
            dist.all_reduce(tensor)
    with _coalescing_manager():
        gathered = [torch.zeros_like(samples(dtype, count)) for count in counts]
        for whole, count in zip(gathered, counts):
            dist.all_gather_into_tensor(whole, sample(rank, dtype, count))
    with _coalescing_manager():
        scattered = [torch.zeros_like(sample(rank, dtype, count)) for count in counts]
        for tensor, count in zip(scattered, counts):
            dist.reduce_scatter_tensor(tensor, sample(rank, dtype, world * count))
    for i, count in enumerate(counts):
        everybody = samples(dtype, count)
        same(reduced[i], everybody.sum(0).to(everybody.dtype))
        same(gathered[i], everybody)
        longer = samples(dtype, world * count)
        same(scattered[i], longer.sum(0).to(longer.dtype).view(world, count)[rank])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "collective",
    [all_reduce, reduce_to_each, broadcast_from_each, all_gather, gather_and_scatter, reduce_scatter, coalesced],
)
def test_values(ranks: Ranks, collective: Callable[[str], None], dtype: str) -> None:
    ranks.run(collective, dtype)


def functional() -> None:
    """What DTensor and sharded training call: through torch's dispatcher in C++."""
    import torch.distributed._functional_collectives as collectives

    rank, world = dist.get_rank(), dist.get_world_size()
    group: Any = dist.group.WORLD
    everybody = samples("float32")
    same(collectives.all_reduce(sample(rank, "float32"), "sum", group) + 0, everybody.sum(0))
    same(collectives.all_gather_tensor(sample(rank, "float32"), 0, group) + 0, everybody.view(-1))
    longer = samples("float32", world * COUNT)
    part = collectives.reduce_scatter_tensor(longer[rank], "sum", 0, group) + 0
    same(part, longer.sum(0).view(world, COUNT)[rank])
    same(collectives.broadcast(sample(rank, "float32"), 0, group) + 0, everybody[0])


def test_functional_collectives(ranks: Ranks) -> None:
    ranks.run(functional)


def odd_tensors() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    turned = torch.arange(20.0).view(4, 5).t() + rank
    assert not turned.is_contiguous()
    dist.all_reduce(turned)
    same(turned, world * torch.arange(20.0).view(4, 5).t() + sum(range(world)))
    every_other = torch.arange(10)[::2] + rank
    memory = torch.zeros(10, dtype=torch.int64)
    memory[::2] = every_other
    dist.broadcast(memory[::2], src=1)
    same(memory[::2], torch.arange(10)[::2] + 1)
    same(memory[1::2], torch.zeros(5, dtype=torch.int64))
    parameter = torch.nn.Parameter(torch.ones(3))
    dist.all_reduce(parameter.data)
    same(parameter.detach(), torch.full((3,), float(world)))
    empty = torch.empty(0)
    dist.all_reduce(empty)
    dist.all_gather_into_tensor(torch.empty(0), empty)
    scalar = torch.tensor(rank)
    dist.all_reduce(scalar)
    same(scalar, torch.tensor(sum(range(world))))


def bitwise() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    ops = {"BAND": torch.bitwise_and, "BOR": torch.bitwise_or, "BXOR": torch.bitwise_xor}
    for dtype in (torch.uint8, torch.int8, torch.int32, torch.int64, torch.bool):
        everybody = torch.stack([sample(r, "int64", world * 9) * 37 for r in range(world)]).to(dtype).view(world, -1)
        for name, fold in ops.items():
            op = getattr(dist.ReduceOp, name)
            expected = functools.reduce(fold, list(everybody))
            dist.all_reduce(tensor := everybody[rank].clone(), op=op)
            same(tensor, expected)
            dist.reduce(tensor := everybody[rank].clone(), dst=1, op=op)
            same(tensor, expected if rank == 1 else everybody[rank])
            dist.reduce_scatter_tensor(part := everybody.new_zeros(9), everybody[rank], op=op)
            same(part, expected.view(world, 9)[rank])
    turned = torch.arange(6, dtype=torch.int32).view(2, 3).t()
    dist.all_reduce(tensor := turned + rank, op=dist.ReduceOp.BOR)
    same(tensor, functools.reduce(torch.bitwise_or, [turned + r for r in range(world)]))
    unsigned = torch.tensor([1 << rank, 65535], dtype=torch.uint16)
    dist.all_reduce(unsigned, op=dist.ReduceOp.BOR)
    assert unsigned.tolist() == [(1 << world) - 1, 65535]


def sparse() -> None:
    """Each rank has other indices, one of them none."""
    rank, world = dist.get_rank(), dist.get_world_size()

    def tensor_of(rank: int) -> torch.Tensor:
        where = torch.arange(3 * rank).view(1, -1) % (2 * rank + 1)
        return torch.sparse_coo_tensor(where, torch.ones(3 * rank, 2) * (rank + 1), (7, 2))

    mine = tensor_of(rank)
    dist.all_reduce(mine)
    same(mine.to_dense(), sum(tensor_of(r).to_dense() for r in range(world)))  # type: ignore[arg-type]
    dist.all_reduce(empty := torch.zeros(4, 4).to_sparse())
    same(empty.to_dense(), torch.zeros(4, 4))


def exotic_types() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    flags = torch.tensor([True, rank == 0, False])
    for op, expected in (("SUM", [True, True, False]), ("BOR", [True, True, False]), ("MIN", [True, False, False])):
        tensor = flags.clone()
        dist.all_reduce(tensor, op=getattr(dist.ReduceOp, op))
        same(tensor, torch.tensor(expected))
    dist.broadcast(flags, src=1)
    same(flags, torch.tensor([True, False, False]))
    waves = torch.tensor([1 + 2j, 3j]) * (rank + 1)
    dist.all_reduce(waves)
    same(waves, torch.tensor([1 + 2j, 3j]) * sum(range(1, world + 1)))
    dist.broadcast(waves, src=0)
    small = torch.tensor([rank, 2.0, 3.0]).to(torch.float8_e4m3fn)
    parts = [torch.zeros_like(small) for _ in range(world)]
    dist.all_gather(parts, small)
    assert [float(part.float()[0]) for part in parts] == list(map(float, range(world)))


def objects() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    everybody: list[Any] = [None] * world
    dist.all_gather_object(everybody, {"rank": rank, "text": "x" * rank})
    assert everybody == [{"rank": r, "text": "x" * r} for r in range(world)]
    said = [f"of {rank}"]
    dist.broadcast_object_list(said, src=1)
    assert said == ["of 1"]
    got: list[Any] = [None]
    dist.scatter_object_list(got, [f"to {r}" for r in range(world)] if rank == 0 else None, src=0)
    assert got == [f"to {rank}"]
    dist.barrier()


@pytest.mark.parametrize("check", [odd_tensors, exotic_types, objects, bitwise, sparse])
def test_what_else_travels(ranks: Ranks, check: Callable[[], None]) -> None:
    ranks.run(check)


# ------------------------------------------------------------------------------------------------ in the background

HELD: dict[str, Any] = {}


def start_async(kind: str) -> bool:
    tensor = torch.full((COUNT,), float(dist.get_rank()))
    if kind == "all_reduce":
        work = dist.all_reduce(tensor, async_op=True)
    elif kind == "broadcast":
        work = dist.broadcast(tensor, src=1, async_op=True)
    else:
        work = dist.barrier(async_op=True)
    HELD[kind] = work, tensor
    return bool(work.is_completed())


def finish_async(kind: str) -> float:
    work, tensor = HELD.pop(kind)
    assert work.wait()
    assert work.is_completed() and work.is_success()
    return float(tensor[0])


@pytest.mark.parametrize("kind", ["all_reduce", "broadcast", "barrier"])
def test_async_returns_before_others_have_called(ranks: Ranks, kind: str) -> None:
    world = len(ranks)
    if kind != "broadcast":  # whose root may end before the others have called
        assert not ranks.on(world - 1, start_async, kind)
        others = range(world - 1)
    else:
        assert not ranks.on(0, start_async, kind)
        others = range(1, world)
    for rank in others:
        ranks.on(rank, start_async, kind)
    got = [ranks.on(rank, finish_async, kind) for rank in range(world)]
    expected = {"all_reduce": [float(sum(range(world)))] * world, "broadcast": [1.0] * world}
    assert got == expected.get(kind, list(map(float, range(world))))


def in_order() -> None:
    """Calls on one tensor see each other's results although nobody waits in between."""
    rank, world = dist.get_rank(), dist.get_world_size()
    tensor = torch.full((100_000,), float(rank))
    whole = torch.zeros(world * 100_000)
    works = [
        dist.all_reduce(tensor, async_op=True),
        dist.all_reduce(tensor, async_op=True),
        dist.all_gather_into_tensor(whole, tensor, async_op=True),
        dist.all_reduce(whole, async_op=True),
        dist.broadcast(tensor, src=world - 1, async_op=True),
    ]
    many = [torch.full((1000,), float(i)) for i in range(50)]
    works += [dist.all_reduce(each, async_op=True) for each in many]
    works[-1].wait()
    assert all(work.is_success() for work in works)
    twice = float(sum(range(world)) * world)
    same(tensor, torch.full((100_000,), twice))
    same(whole, torch.full((world * 100_000,), twice * world))
    for i, each in enumerate(many):
        same(each, torch.full((1000,), float(i * world)))


def chained_futures() -> None:
    """A callback that calls, and waits for, another collective: as PowerSGD's communication hook does."""
    world = dist.get_world_size()
    tensor = torch.ones(100)

    def again(future: Any) -> Any:
        second = future.value()[0] + 1
        return dist.all_reduce(second, async_op=True).get_future().wait()[0]

    got = dist.all_reduce(tensor, async_op=True).get_future().then(again).wait()
    same(got, torch.full((100,), float((world + 1) * world)))


@pytest.mark.parametrize("check", [in_order, chained_futures])
def test_order_and_futures(ranks: Ranks, check: Callable[[], None]) -> None:
    ranks.run(check)


# ----------------------------------------------------------------------------------------------------- sub-groups


def subgroups() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    pair = dist.new_group([0, world - 1])
    alone = dist.new_group([1])
    if rank in (0, world - 1):
        tensor = torch.tensor([1.0 + rank])
        dist.all_reduce(tensor, group=pair)
        same(tensor, torch.tensor([1.0 + world]))
        dist.broadcast(tensor.zero_().add_(rank), src=world - 1, group=pair)
        same(tensor, torch.tensor([float(world - 1)]))
    if rank == 1:
        tensor = torch.tensor([5.0])
        dist.all_reduce(tensor, group=alone)
        whole, part = torch.zeros(1), torch.zeros(1)
        dist.all_gather_into_tensor(whole, tensor, group=alone)
        dist.reduce_scatter_tensor(part, tensor, group=alone)
        dist.broadcast(tensor, src=1, group=alone)
        dist.barrier(group=alone)
        same(torch.cat([tensor, whole, part]), torch.full((3,), 5.0))
    everybody = torch.tensor([1.0])
    dist.all_reduce(everybody)
    same(everybody, torch.tensor([float(world)]))
    for group, members in ((pair, (0, world - 1)), (alone, (1,))):
        if rank in members:
            dist.destroy_process_group(group)
    dist.all_reduce(everybody)
    same(everybody, torch.tensor([float(world**2)]))


def test_subgroups(ranks: Ranks) -> None:
    ranks.run(subgroups)


# --------------------------------------------------------------------------------- the methods of a process group


def group_methods() -> None:
    """In the forms without options, which torch's own groups have too."""
    group: Any = dist.group.WORLD
    rank, world = dist.get_rank(), dist.get_world_size()
    mine, everybody = sample(rank, "float32"), samples("float32")
    for arguments in (([mine.clone()],), ([mine.clone()], dist.ReduceOp.SUM), (mine.clone(),)):
        group.allreduce(*arguments).wait()
        same(arguments[0] if torch.is_tensor(arguments[0]) else arguments[0][0], everybody.sum(0))
    largest = mine.clone()
    group.allreduce(tensor=largest, op=dist.ReduceOp.MAX, timeout=timedelta(seconds=60)).wait()
    same(largest, everybody.amax(0))
    group.reduce(summed := mine.clone(), 1, dist.ReduceOp.SUM).wait()
    same(summed, everybody.sum(0) if rank == 1 else mine)
    group.broadcast(brought := mine.clone(), 1).wait()
    same(brought, everybody[1])
    group.allgather(parts := [torch.zeros_like(mine) for _ in everybody], mine).wait()
    same(torch.stack(parts), everybody)
    group.gather(parts := [torch.zeros_like(mine) for _ in everybody] if rank == 1 else [], mine, root=1).wait()
    assert rank != 1 or torch.equal(torch.stack(parts), everybody)
    group.scatter(part := torch.zeros_like(mine), list(everybody) if rank == 1 else [], 1).wait()
    same(part, everybody[rank])
    group.reduce_scatter(part := torch.zeros(3), [torch.full((3,), float(r)) for r in range(world)]).wait()
    same(part, torch.full((3,), float(rank * world)))
    group.barrier().wait()
    group.barrier(timeout=timedelta(seconds=60)).wait()
    group.barrier(dist.BarrierOptions()).wait()
    with pytest.raises(TypeError, match=r"called with \(Tensor, str\); it takes allreduce\(tensors, opts\); "):
        group.allreduce(mine, "sum")


def test_methods_of_the_group_take_the_forms_of_torch(ranks: Ranks) -> None:
    ranks.run(group_methods)


# ---------------------------------------------------------------------------------------------- what is not there


def refused() -> None:
    tensor = torch.ones(4)
    sparse = tensor.to_sparse()
    group: Any = dist.group.WORLD
    refusals: list[tuple[Callable[[], Any], Any, str]] = [
        (lambda: dist.all_reduce(tensor, op=dist.ReduceOp.BAND), NotImplementedError, "BAND"),
        (lambda: dist.all_reduce(tensor.bool(), op=dist.ReduceOp.AVG), NotImplementedError, "MIN is all"),
        (lambda: dist.all_reduce(sparse, op=dist.ReduceOp.MAX), NotImplementedError, "sparse"),
        (lambda: dist.broadcast(sparse, src=0), TypeError, "dense"),
        (lambda: group.broadcast(tensor, 7), ValueError, "no rank 7 in this process group"),
        (lambda: dist.all_reduce(torch.empty(2, device="meta")), TypeError, "CPU memory"),
        (lambda: dist.all_reduce(tensor.to(torch.float8_e4m3fn)), (TypeError, RuntimeError), "float8|Float8"),
        (lambda: dist.all_gather_into_tensor(torch.empty(3), tensor), ValueError, "were expected"),
    ]
    for call, kind, word in refusals:
        with pytest.raises(kind, match=word):
            call()
    dist.all_reduce(tensor)  # the group is as it was
    same(tensor, torch.full((4,), float(dist.get_world_size())))


def test_refusals_say_what_to_do(ranks: Ranks) -> None:
    ranks.run(refused)


# ------------------------------------------------------------------------------------------------- order of ranks


def test_ranks_of_torch_are_found_wherever_they_are_in_the_view(master: hawser.Master) -> None:
    rank_at = [2, 0, 1]

    def body(comm: hawser.Communicator) -> list[list[float]]:
        group = group_of(comm, rank_at=rank_at)
        rank = group.rank()
        mine = torch.tensor([float(rank)])
        parts = [torch.zeros(1) for _ in rank_at]
        whole, shard, root = torch.zeros(3), torch.zeros(1), mine.clone()
        group.allgather([parts], [mine]).wait()
        group.all_gather_single(whole, mine).wait()
        group.reduce_scatter_single(shard, torch.tensor([0.0, 10.0, 20.0])).wait()
        options = dist.BroadcastOptions()
        options.rootRank = 2
        group.broadcast([root], options).wait()
        group.shutdown()
        return [[float(p) for p in parts], whole.tolist(), [float(shard) - 30 * rank, float(root)]]

    assert run_threads(master.address, 3, body) == [[[0.0, 1.0, 2.0]] * 2 + [[0.0, 2.0]]] * 3


def test_a_mismatch_names_torchs_ranks(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> str:
        group = group_of(comm, rank_at=[2, 0, 1])
        with pytest.raises(ProcessGroupBroken) as caught:
            group.broadcast(torch.zeros(1), 2 if group.rank() == 2 else 1).wait()
        group.shutdown()
        return str(caught.value)

    for sentence in run_threads(master.address, 3, body):
        assert "from rank 2" in sentence and "from rank 1" in sentence and "from rank 0" not in sentence
