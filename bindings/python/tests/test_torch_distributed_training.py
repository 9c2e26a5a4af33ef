"""The torch.distributed backend under DistributedDataParallel, and when ranks or masters are lost."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest

pytest.importorskip("torch")

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from peers import PeerProcess  # noqa: E402
from torch._C._distributed_c10d import HashStore  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402
from torch_ranks import Ranks, started  # noqa: E402

import hawser  # noqa: E402
from hawser.torch.distributed import Options, ProcessGroupBroken  # noqa: E402
from hawser.torch.distributed_queue import QueuedWork, WaitTimeout  # noqa: E402
from hawser.torch.distributed_rendezvous import GatheringTimeout  # noqa: E402

STEPS = 5
BATCH = 12
HELD: dict[str, Any] = {}


def make_model() -> Any:
    torch.manual_seed(7)
    return torch.nn.Sequential(
        torch.nn.Linear(20, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 3)
    )


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(BATCH, 20, generator=generator), torch.randn(BATCH, 3, generator=generator)


def backward(model: Any, inputs: Any, targets: Any) -> None:
    loss: Any = torch.nn.functional.mse_loss(model(inputs), targets)
    loss.backward()


def train(model: Any, rank: int, world: int) -> None:
    """Each rank on its share of every batch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(STEPS):
        inputs, targets = (part.chunk(world)[rank] for part in batch(step))
        optimizer.zero_grad()
        backward(model, inputs, targets)
        optimizer.step()


def parameters_of(model: Any) -> list[float]:
    flat: Any = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    return list(flat.tolist())


def train_distributed(options: dict[str, Any], group: Any = None) -> list[float]:
    model = make_model()
    if dist.get_rank() > 0:  # DDP brings rank 0's
        for parameter in model.parameters():
            torch.nn.init.zeros_(parameter)
    # Several buckets, so that several all-reduces are under way during backward.
    wrapped = DistributedDataParallel(model, process_group=group, bucket_cap_mb=0.005, **options)
    train(wrapped, dist.get_rank(), dist.get_world_size())
    return parameters_of(model)


def train_over_gloo() -> list[float]:
    return train_distributed({}, dist.new_group(backend="gloo"))


def train_quantized() -> list[float]:
    options = Options(quantization=hawser.Quantization.blockwise(hawser.QuantizedType.INT8))
    return train_distributed({}, dist.new_group(pg_options=options))


def train_alone() -> list[float]:
    model = make_model()
    train(model, 0, 1)
    return parameters_of(model)


def train_with_hooks() -> list[list[float]]:
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook

    group = dist.group.WORLD
    got = []
    power = powerSGD_hook.PowerSGDState(group, start_powerSGD_iter=2, min_compression_rate=1)
    for state, hook, bucket_mb in (
        (group, default_hooks.allreduce_hook, 0.005),
        (group, default_hooks.fp16_compress_hook, 0.005),
        (power, powerSGD_hook.powerSGD_hook, 25),  # one bucket: it calls collectives as callbacks happen to come
    ):
        model = DistributedDataParallel(make_model(), bucket_cap_mb=bucket_mb)
        model.register_comm_hook(state, hook)
        train(model, dist.get_rank(), dist.get_world_size())
        got.append(parameters_of(model))
    return got


def train_batch_norm() -> list[float]:
    """Its running statistics are buffers, which DDP broadcasts from rank 0 before each forward."""
    model: Any = torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3))
    wrapped = DistributedDataParallel(model)
    train(wrapped, dist.get_rank(), dist.get_world_size())
    HELD["mean"] = model[1].running_mean.tolist()
    wrapped.eval()
    wrapped(batch(0)[0])
    return model[1].running_mean.tolist()  # type: ignore[no-any-return, unused-ignore]


def mean_before() -> list[float]:
    return HELD["mean"]  # type: ignore[no-any-return, unused-ignore]


def train_uneven() -> list[float]:
    """The higher ranks have more batches; from then on gradients are divided by those that still have some."""
    model: Any = DistributedDataParallel(make_model(), bucket_cap_mb=0.005)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with model.join(divide_by_initial_world_size=False):
        for step in range(2 + 2 * dist.get_rank()):
            optimizer.zero_grad()
            backward(model, *batch(step))
            optimizer.step()
    return parameters_of(model)


def hand_to_torch() -> None:
    """C++ has a Work then, and Python none."""
    from hawser.torch.distributed_work_lifetime import _kept

    work = dist.all_reduce(torch.ones(1), async_op=True)
    work.wait()
    object_of, held = weakref.ref(work), work.boxed()
    del work
    assert object_of() is not None
    dist.barrier()
    assert type(work_in(held)) is QueuedWork, "C++ holds it"
    del held
    dist.barrier()
    assert object_of() is None and not _kept
    for _ in range(100):
        dist.all_reduce(torch.ones(1))
    gc.collect()
    assert not _kept


def work_in(box: Any) -> Any:
    return torch._C._distributed_c10d.Work.unbox(box)


def train_sharded() -> list[float]:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model: Any = make_model()
    fully_shard(model, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    train(model, dist.get_rank(), dist.get_world_size())
    flat: Any = torch.cat([p.full_tensor().reshape(-1) for p in model.parameters()])
    return list(flat.tolist())


def train_compiled() -> list[float]:
    model: Any = torch.compile(DistributedDataParallel(make_model()), backend="aot_eager")
    train(model, dist.get_rank(), dist.get_world_size())
    return [float(value) for parameter in model.parameters() for value in parameter.detach().flatten()]


def call_in_a_forked_child() -> str:
    """What its error is, told over a pipe: the child has nothing else."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            dist.all_reduce(torch.ones(2))
            os.write(writing, b"no error")
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as told:
        sentence = told.read().decode()
    os.waitpid(child, 0)
    dist.all_reduce(torch.ones(2))
    return sentence


# --------------------------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request: pytest.FixtureRequest) -> Iterator[Ranks]:
    with started(request.param) as group:
        yield group
        group.end()


def close_to_one_process(got: list[float]) -> None:
    torch.testing.assert_close(torch.tensor(got), torch.tensor(train_alone()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"gradient_as_bucket_view": True, "static_graph": True}])
def test_ddp_trains(ranks: Ranks, options: dict[str, Any]) -> None:
    got = ranks.run(train_distributed, options)
    assert all(each == got[0] for each in got), "ranks have different bits"
    close_to_one_process(got[0])
    if len(ranks) == 2:  # a sum of two has one order only
        assert ranks.run(train_over_gloo) == got


def test_compiled_ddp_trains(ranks: Ranks) -> None:
    got = ranks.run(train_compiled)
    assert all(each == got[0] for each in got), "ranks have different bits"
    close_to_one_process(got[0])


def test_a_forked_child_is_told_that_the_group_is_its_parents(ranks: Ranks) -> None:
    for sentence in ranks.run(call_in_a_forked_child):
        assert sentence.startswith("InvalidUsage: this process group was made before the process forked"), sentence


def test_hooks_of_ddp(ranks: Ranks) -> None:
    plain, half, powered = zip(*ranks.run(train_with_hooks))
    for kind in (plain, half, powered):
        assert all(each == kind[0] for each in kind), "ranks have different bits"
    close_to_one_process(plain[0])
    assert plain[0] != half[0] and plain[0] != powered[0]
    torch.testing.assert_close(torch.tensor(half[0]), torch.tensor(train_alone()), rtol=1e-2, atol=1e-3)


def test_ddp_brings_buffers(ranks: Ranks) -> None:
    means = ranks.run(train_batch_norm)
    before = ranks.run(mean_before)
    assert before[0] != before[1] and all(mean == before[0] for mean in means)


def test_ranks_with_more_batches_go_on(ranks: Ranks) -> None:
    got = ranks.run(train_uneven)
    assert all(each == got[0] for each in got), "ranks have different bits"


def test_a_work_lives_as_long_as_torch_holds_it(ranks: Ranks) -> None:
    ranks.run(hand_to_torch)


def test_fully_sharded_training(ranks: Ranks) -> None:
    got = ranks.run(train_sharded)
    assert all(each == got[0] for each in got), "ranks have different bits"
    close_to_one_process(got[0])


def test_quantized_gradients(ranks: Ranks) -> None:
    got = ranks.run(train_quantized)
    assert all(each == got[0] for each in got), "ranks have different bits"
    exact = torch.tensor(train_alone())
    assert got[0] != exact.tolist()
    torch.testing.assert_close(torch.tensor(got[0]), exact, rtol=0.1, atol=0.02)


# ------------------------------------------------------------------------------------------------------------ losses


def begin_sum() -> bool:
    """A collective that cannot end before the others call."""
    tensor = torch.ones(1000)
    HELD["sum"] = dist.all_reduce(tensor, async_op=True), tensor
    return bool(HELD["sum"][0].is_completed())


def sum_that_fails() -> str:
    """Waits for it; gives the sentence."""
    with pytest.raises(ProcessGroupBroken) as caught:
        HELD.pop("sum")[0].wait()
    assert not caught.value.can_retry and isinstance(caught.value, dist.DistBackendError)
    return str(caught.value)


def finish_sum() -> float:
    work, tensor = HELD.pop("sum")
    work.wait()
    return float(tensor[0])


def everything_fails() -> list[str]:
    """Gives the sentences."""
    tensor, whole = torch.ones(4), torch.ones(4 * dist.get_world_size())
    sentences = []
    for call in (
        lambda: dist.all_reduce(tensor),
        lambda: dist.broadcast(tensor, src=0),
        lambda: dist.all_gather_into_tensor(whole, tensor),
        lambda: dist.reduce_scatter_tensor(tensor, whole),
        dist.barrier,
        lambda: dist.all_reduce(torch.empty(0)),
    ):
        with pytest.raises(ProcessGroupBroken) as caught:
            call()  # type: ignore[no-untyped-call]
        sentences.append(str(caught.value))
    with pytest.raises(RuntimeError, match="Restart the job"):
        dist.all_reduce(tensor, async_op=True).get_future().wait()
    return sentences


def test_a_lost_rank_is_an_error_on_all_others() -> None:
    with started(3) as ranks:
        assert not ranks.on(0, begin_sum)
        ranks.kill(1)
        ranks.start(0, sum_that_fails)
        ranks.start(2, everything_fails)  # which had not called
        sentences = [ranks.finish(0), *ranks.finish(2), *ranks.on(0, everything_fails)]
        for sentence in sentences:
            assert "rank 1 at" in sentence and "Restart the job" in sentence and "hawser.torch" in sentence
        ranks.end(killed=(1,))


def train_until_it_fails() -> str:
    model: Any = DistributedDataParallel(make_model(), bucket_cap_mb=0.005)
    inputs, targets = batch(0)
    with pytest.raises(RuntimeError) as caught:
        while True:
            backward(model, inputs, targets)
            HELD["steps"] = HELD.get("steps", 0) + 1
    return str(caught.value)


def train_and_die() -> None:
    """After a few steps, during backward: with some buckets under way and others not."""
    model: Any = DistributedDataParallel(make_model(), bucket_cap_mb=0.005)
    inputs, targets = batch(0)
    for _ in range(3):
        backward(model, inputs, targets)
    next(iter(model.module.parameters())).register_hook(lambda _: os._exit(3))
    backward(model, inputs, targets)


def steps_made() -> int:
    return int(HELD["steps"])


def test_ddp_raises_when_a_rank_dies_during_backward() -> None:
    with started(2) as ranks:
        ranks.start(0, train_until_it_fails)
        ranks.start(1, train_and_die)
        sentence = ranks.finish(0)
        assert "rank 1 at" in sentence and "Restart the job" in sentence
        assert ranks.on(0, steps_made) == 3
        ranks.end(killed=(1,))


def test_the_rank_with_the_master_is_lost() -> None:
    with started(2) as ranks:
        assert not ranks.on(1, begin_sum)
        ranks.kill(0)
        assert "Restart the job" in ranks.on(1, sum_that_fails)
        assert all("Restart the job" in sentence for sentence in ranks.on(1, everything_fails))
        ranks.end(killed=(0,))


def test_a_rank_that_does_not_call_is_named() -> None:
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200, call_wait_ms=500) as master:
        with started(2, environment={"HAWSER_MASTER": master.address}) as ranks:
            assert not ranks.on(0, begin_sum)
            sentence = ranks.on(0, sum_that_fails)
            assert "rank 1 at" in sentence and "timed out" in sentence and " timeout " in sentence
            assert all("rank 0 at" in sentence for sentence in ranks.on(1, everything_fails))
            ranks.end()


def wait_shortly() -> str:
    work, _ = HELD["sum"]
    with pytest.raises(dist.DistBackendError) as caught:
        work.wait(timedelta(milliseconds=20))
    assert isinstance(caught.value, hawser.errors.Timeout) and not work.is_completed()
    return str(caught.value)


def finish_with(timeout: timedelta) -> str:
    """A sum that takes too long by itself."""
    options = dist.AllreduceOptions()
    options.timeout = timeout
    group: Any = dist.group.WORLD
    with pytest.raises(ProcessGroupBroken) as caught:
        group.allreduce([torch.ones(3)], options).wait()
    return str(caught.value)


def test_the_bound_of_a_wait_and_of_a_call() -> None:
    with started(2) as ranks:
        assert not ranks.on(0, begin_sum)
        assert "the wait timed out" in ranks.on(0, wait_shortly)
        ranks.on(1, begin_sum)
        assert ranks.run(finish_sum) == [2.0, 2.0]
        sentence = ranks.on(0, finish_with, timedelta(milliseconds=300))
        assert "timed out" in sentence and "0.3 s" in sentence
        assert all("rank 0 at" in sentence for sentence in ranks.on(1, everything_fails))
        ranks.end()


def late_by_the_timeout_of_the_group() -> str:
    group: Any = dist.group.WORLD
    group.set_timeout(timedelta(milliseconds=300))
    with pytest.raises(ProcessGroupBroken, match="timed out") as caught:
        dist.barrier()
    return str(caught.value)


def test_the_timeout_of_a_group_may_be_changed() -> None:
    with started(2) as ranks:
        assert "0.3 s" in ranks.on(0, late_by_the_timeout_of_the_group)
        ranks.end()


def test_errors_are_those_of_torch_too() -> None:
    for kind in (GatheringTimeout, ProcessGroupBroken, WaitTimeout):
        assert issubclass(kind, RuntimeError) and issubclass(kind, hawser.HawserError)
    assert issubclass(GatheringTimeout, dist.DistStoreError) and issubclass(GatheringTimeout, TimeoutError)


def different_calls() -> str:
    tensor = torch.ones(4 + dist.get_rank())
    with pytest.raises(ProcessGroupBroken) as caught:
        dist.all_reduce(tensor)
    return str(caught.value)


def test_ranks_that_call_different_things_are_all_told() -> None:
    with started(2) as ranks:
        for sentence in ranks.run(different_calls):
            assert "Restart the job" in sentence
        ranks.end()


def test_a_master_of_its_own_may_be_restarted() -> None:
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as master:
        address = master.address
        with started(2, environment={"HAWSER_MASTER": address}) as ranks:
            assert not ranks.on(0, begin_sum)
            master.close()
            with hawser.Master(address):
                ranks.on(1, begin_sum)
                assert ranks.run(finish_sum) == [2.0, 2.0]
                ranks.end()


# --------------------------------------------------------------------------------------------- making and destroying


def test_ranks_with_different_world_sizes_are_named() -> None:
    ranks = Ranks(2, world_sizes=[2, 3], timeout=timedelta(seconds=10))
    try:
        assert "rank 0 was started with WORLD_SIZE 2, and rank 1 with 3" in ranks.failure(0)
        assert "rank 1 was started with WORLD_SIZE 3, and rank 0 with 2" in ranks.failure(1)
    finally:
        ranks.close()


def test_ranks_that_do_not_come_are_named() -> None:
    ranks = Ranks(2, timeout=timedelta(seconds=2), environment={"WORLD_SIZE": "3"})
    try:
        for rank in range(len(ranks)):
            failure = ranks.failure(rank)
            assert failure.startswith("GatheringTimeout: the process group timed out")
            assert "2 did not come" in failure  # of the others, one may be late on a busy machine
    finally:
        ranks.close()


def sum_and_leave(_: str, pipe: Connection, rank: int, store_file: str) -> float:
    """Without destroying the group."""
    dist.init_process_group("hawser", init_method=f"file://{store_file}", rank=rank, world_size=2)
    tensor = torch.ones(1_000_000)
    dist.all_reduce(tensor)
    return float(tensor.min())


def test_processes_end_well_without_destroying_the_group(tmp_path: Any) -> None:
    peers = [PeerProcess(sum_and_leave, "", rank, str(tmp_path / "store")) for rank in range(2)]
    assert [peer.result() for peer in peers] == [2.0, 2.0]


def make_again(store_file: str) -> float:
    """From a file this time; in the same process, after the former group."""
    rank, world = dist.get_rank(), dist.get_world_size()
    dist.destroy_process_group()
    dist.init_process_group("hawser", init_method=f"file://{store_file}", rank=rank, world_size=world)
    tensor = torch.ones(10)
    dist.all_reduce(tensor)
    return float(tensor[0])


def destroy() -> str:
    dist.destroy_process_group()
    with pytest.raises(ProcessGroupBroken) as caught:
        HELD.pop("sum")[0].wait()
    return str(caught.value)


def test_a_group_may_be_made_again(tmp_path: Any) -> None:
    with started(2) as ranks:
        assert ranks.run(make_again, str(tmp_path / "store")) == [2.0, 2.0]
        ranks.end()


def test_what_is_under_way_when_the_group_is_destroyed_ends() -> None:
    with started(2) as ranks:
        assert not ranks.on(1, begin_sum)
        assert "destroyed" in ranks.on(1, destroy)
        ranks.close()


def test_a_wrong_option_is_told() -> None:
    with pytest.raises(TypeError, match="hawser.torch.distributed.Options"):
        dist.init_process_group("hawser", store=HashStore(), rank=0, world_size=1, pg_options={"master": ""})
    assert not dist.is_initialized()
