"""The torch.distributed backend as torch sees it: which devices it has, what it counts, and what its profiler shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("torch")

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch.distributed.distributed_c10d import _coalescing_manager  # noqa: E402
from torch_ranks import Ranks, started  # noqa: E402

from hawser.torch.distributed import HawserProcessGroup, Options  # noqa: E402

CPU = torch.device("cpu")
CUDA = torch.device("cuda")


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request: pytest.FixtureRequest) -> Iterator[Ranks]:
    with started(request.param) as group:
        yield group
        group.end()


def world_group() -> Any:
    return dist.group.WORLD


def check_sum(group: Any = None) -> None:
    tensor = torch.ones(5)
    dist.all_reduce(tensor, group=group)
    assert tensor.tolist() == [dist.get_world_size(group)] * 5


def its_devices() -> None:
    group = world_group()
    assert group._device_types == [CPU, CUDA]
    assert group._get_backend(CPU) is group and group._get_backend(CUDA) is group
    with pytest.raises(RuntimeError, match="No backend type associated with device type meta"):
        group._get_backend(torch.device("meta"))
    assert dist.get_backend() == "hawser" and group.name() == "hawser"
    assert dist.get_backend_config() == "cpu:hawser,cuda:hawser"
    assert group.get_group_store() is not None
    assert dist.distributed_c10d._device_capability() == ["cpu", "cuda"]


def its_numbers() -> None:
    """All ranks count alike."""
    group = world_group()
    before = group._get_sequence_number_for_group()
    check_sum()
    dist.barrier()
    assert group._get_sequence_number_for_group() == before + 2
    everybody: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everybody, before)
    assert len(set(everybody)) == 1


def coalesced_with_a_device() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    tensors = [torch.full((4,), float(rank)) for _ in range(3)]
    with _coalescing_manager(device=CPU, async_ops=True) as manager:
        for tensor in tensors:
            world_group().broadcast([tensor], dist.BroadcastOptions())
        world_group().allgather([parts := [torch.zeros(1) for _ in range(world)]], [torch.ones(1)])
    manager.wait()
    assert all(tensor.tolist() == [0.0] * 4 for tensor in tensors) and torch.cat(parts).tolist() == [1.0] * world
    with _coalescing_manager(device=CPU):
        pass


def split_and_sliced() -> None:
    from torch.distributed.device_mesh import init_device_mesh

    rank, world = dist.get_rank(), dist.get_world_size()
    part = world_group().split_group([0, 1] if rank < 2 else [2], group_name="part", timeout=timedelta(seconds=60))
    assert isinstance(part, HawserProcessGroup) and part.size() == (2 if rank < 2 else 1) and part.group_name == "part"
    part.allreduce(tensor := torch.ones(2)).wait()
    assert tensor.tolist() == [float(part.size())] * 2
    part.shutdown()
    assert world_group().split_group([world - 1]) is None or rank == world - 1
    mesh = init_device_mesh("cpu", (1, world), mesh_dim_names=("dp", "tp"))
    check_sum(mesh["tp"].get_group())
    check_sum(mesh["dp"].get_group())
    assert mesh["dp", "tp"]._flatten().size() == world
    override: Any = {"tp": ("hawser", Options(compress=True))}
    try:
        mesh = init_device_mesh("cpu", (world,), mesh_dim_names=("tp",), backend_override=override)
    except TypeError:
        return  # a torch without it
    group: Any = mesh["tp"].get_group()
    check_sum(group)
    assert group.hawser_options.compress


@pytest.mark.parametrize("check", [its_devices, its_numbers, coalesced_with_a_device, split_and_sliced])
def test_a_backend_as_torch_knows_them(ranks: Ranks, check: Callable[[], None]) -> None:
    ranks.run(check)


def save_in_the_background(folder: str) -> None:
    import torch.distributed.checkpoint

    checkpoint: Any = torch.distributed.checkpoint
    weights = torch.full((6,), 1.0 + dist.get_rank())
    dist.all_reduce(weights)
    checkpoint.async_save({"weights": weights}, checkpoint_id=folder).result()
    loaded = {"weights": torch.zeros(6)}
    checkpoint.load(loaded, checkpoint_id=folder)
    assert torch.equal(loaded["weights"], weights)


def test_checkpoints_in_the_background(ranks: Ranks, tmp_path: Any) -> None:
    ranks.run(save_in_the_background, str(tmp_path / f"of-{len(ranks)}"))


# ----------------------------------------------------------------------------------------------- monitored barrier


def monitored() -> None:
    for wait_all_ranks in (False, True):
        world_group().monitored_barrier(timedelta(seconds=60), wait_all_ranks)
    world_group().monitored_barrier()


def one_is_missing(wait_all_ranks: bool) -> str:
    """Not on rank 1."""
    if dist.get_rank() == 1:
        world_group().monitored_barrier(timedelta(seconds=60))
        return ""
    with pytest.raises(RuntimeError) as caught:
        world_group().monitored_barrier(timedelta(milliseconds=300), wait_all_ranks)
    return str(caught.value)


def test_a_monitored_barrier_says_who_is_missing(ranks: Ranks) -> None:
    ranks.run(monitored)
    assert "Rank 1 failed to pass monitoredBarrier: the barrier timed out" in ranks.on(0, one_is_missing, False)
    for rank in range(1, len(ranks)):
        ranks.start(rank, missed)
    for rank in range(1, len(ranks)):
        sentence = ranks.finish(rank)
        assert f"Rank {rank} successfully reached monitoredBarrier" in sentence
    whom = "Ranks 1, 2" if len(ranks) == 3 else "Rank 1"
    assert f"{whom} failed to pass monitoredBarrier" in ranks.on(0, one_is_missing, True)
    for rank in range(1, len(ranks)):
        assert f"{whom} failed to pass" in ranks.on(rank, missed)
    ranks.run(monitored)
    ranks.run(check_sum)


def missed() -> str:
    with pytest.raises(RuntimeError) as caught:
        world_group().monitored_barrier(timedelta(seconds=60))
    return str(caught.value)


# -------------------------------------------------------------------------------------------------------- profiler


def profiled() -> None:
    rank, world = dist.get_rank(), dist.get_world_size()
    mine, parts = torch.ones(2, 3), [torch.zeros(2, 3) for _ in range(world)]
    calls: dict[str, Callable[[], Any]] = {
        "all_reduce": lambda: dist.all_reduce(mine),
        "reduce": lambda: dist.reduce(mine, dst=0),
        "broadcast": lambda: dist.broadcast(mine, src=0),
        "all_gather": lambda: dist.all_gather(parts, mine),
        "gather": lambda: dist.gather(mine, parts if rank == 0 else None),
        "barrier": lambda: dist.barrier(),
        "reduce_scatter": lambda: dist.reduce_scatter(torch.zeros(2, 3), parts),
    }
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profiler:
        for call in calls.values():
            call()
    events: Any = {event.name: event for event in profiler.events() if event.name.startswith("hawser:")}
    assert set(events) == {f"hawser:{name}" for name in calls}
    assert all(event.is_async and event.count == 1 for event in events.values())
    shapes = {name.removeprefix("hawser:"): event.input_shapes for name, event in events.items()}
    assert shapes["all_reduce"] == shapes["all_gather"] == [[2, 3]]
    assert shapes["reduce_scatter"] == [[2, 3]] * world


def test_the_profiler_shows_calls(ranks: Ranks) -> None:
    ranks.run(profiled)


# -------------------------------------------------------------------------------------- several backends in a group


def both_halves(hawsers: str) -> None:
    """Tensors in CPU memory, wherever that half is. There is no GPU for the other one."""
    group = world_group()
    theirs = "cuda" if hawsers == "cpu" else "cpu"
    assert isinstance(group, HawserProcessGroup) and group._device_types == [CPU, CUDA]
    assert group._get_backend(torch.device(hawsers)) is group
    gloo = group._get_backend(torch.device(theirs))
    assert type(gloo).__name__ == "ProcessGroupGloo" and gloo.size() == dist.get_world_size()
    calls = group._get_sequence_number_for_group()
    check_sum()
    dist.broadcast(tensor := torch.full((2,), float(dist.get_rank())), src=1)
    assert tensor.tolist() == [1.0, 1.0]
    everybody: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everybody, dist.get_rank())
    assert everybody == list(range(dist.get_world_size()))
    assert (group._get_sequence_number_for_group() > calls) == (hawsers == "cpu"), "the wrong half was called"
    if hawsers == "cpu":
        check_sum(dist.new_group(backend="cpu:gloo,cuda:hawser"))


@pytest.mark.parametrize(
    ("backend", "hawsers"),
    [
        ("cpu:hawser,cuda:gloo", "cpu"),
        ("cuda:gloo,cpu:hawser", "cpu"),
        ("cpu:gloo,cuda:hawser", "cuda"),
        ("cuda:hawser,cpu:gloo", "cuda"),
    ],
)
def test_devices_may_have_several_backends(backend: str, hawsers: str) -> None:
    with started(2, backend=backend) as ranks:
        ranks.run(both_halves, hawsers)
        ranks.run(dist.destroy_process_group)  # and no more: torch aborts a process that used gloo now and then


def test_a_backend_that_cannot_be_beside_it_is_named() -> None:
    ranks = Ranks(1, backend="cpu:hawser,cuda:mpi")
    try:
        failure = ranks.failure(0)
        assert "mpi" in failure
    finally:
        ranks.close()
