"""DiLoCo and the torch.distributed backend on CUDA, compared with the CPU bit by bit.

Without CUDA the tests run on the CPU where they can, and the others are left out.
"""

from __future__ import annotations

import threading
import types
from typing import Any

import pytest
from peers import run_threads

import hawser

torch = pytest.importorskip("torch")

from toy_training import Toy, train  # noqa: E402
from torch_groups import group_of  # noqa: E402

from hawser.torch import AsyncDiLoCo, DataParallel, DiLoCo, StreamingDiLoCo, arithmetic, device_arithmetic  # noqa: E402
from hawser.torch.distributed import Options, ProcessGroupBroken  # noqa: E402
from hawser.torch.distributed_collectives import AllReduce  # noqa: E402
from hawser.torch.distributed_rendezvous import Gathered  # noqa: E402
from hawser.torch.distributed_static_group import StaticGroup  # noqa: E402
from hawser.torch.distributed_streams import StreamOrder  # noqa: E402

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "DiLoCo": (DiLoCo, {"sync_every": 3}),
    "gradients": (DiLoCo, {"sync_every": 1, "outer_momentum": 0.0, "outer_lr": 1.0, "nesterov": False}),
    "weights": (DiLoCo, {"sync_every": 3, "weight": lambda: 3, "weight_unit": 2}),
    "AsyncDiLoCo": (AsyncDiLoCo, {"sync_every": 3}),
    "StreamingDiLoCo": (StreamingDiLoCo, {"sync_every": 6, "fragments": 2, "overlap": 1}),
    "quantized": (DiLoCo, {"sync_every": 3, "quantization": "int8", "error_feedback": True}),
}
COUNT = 100_003


def trained(master: hawser.Master, kind: str, devices: tuple[str, str], dtype: Any) -> tuple[list[bytes], str]:
    """Two members for some rounds; what they hold then."""
    make, options = KINDS[kind]

    def body(comm: hawser.Communicator) -> tuple[list[bytes], str]:
        toy = Toy(comm.rank, start=comm.rank, dtype=dtype, device=devices[comm.rank])
        diloco = make(toy.parameters, toy.sgd, comm, alone_timeout_s=30, **options)
        train(diloco, toy, 14)
        comm.barrier()
        held = diloco.digest()
        return [held.encode()] if comm.rank else toy.values(), held

    values, others = run_threads(master.address, 2, body)
    assert values[1] == others[1]
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_formulas_by_torch_make_the_same_run(
    master: hawser.Master, monkeypatch: pytest.MonkeyPatch, kind: str, dtype: Any
) -> None:
    expected = trained(master, kind, ("cpu", "cpu"), dtype)
    monkeypatch.setattr(arithmetic, "_by", lambda tensor: device_arithmetic)
    assert trained(master, kind, ("cpu", "cpu"), dtype) == expected


@needs_cuda
@pytest.mark.parametrize("devices", [("cuda", "cuda"), ("cuda", "cpu")], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_on_cuda_has_the_bits_of_the_cpu(
    master: hawser.Master, kind: str, dtype: Any, devices: tuple[str, str]
) -> None:
    expected = trained(master, kind, ("cpu", "cpu"), dtype)
    assert trained(master, kind, devices, dtype) == expected


@pytest.mark.parametrize("device", DEVICES)
def test_outer_state_is_where_the_parameters_are(master: hawser.Master, device: str) -> None:
    def body(comm: hawser.Communicator) -> None:
        toy = Toy(comm.rank, device=device)
        diloco = DiLoCo(toy.parameters, toy.sgd, comm, sync_every=1, alone_timeout_s=30)
        train(diloco, toy, 2)
        comm.barrier()
        for tensor in [*diloco.outer_parameters().values(), *diloco.state_dict()["tensors"].values()]:
            assert tensor.device.type == device

    run_threads(master.address, 2, body)


@pytest.mark.parametrize("device", DEVICES)
def test_data_parallel_averages_on_the_device(master: hawser.Master, device: str) -> None:
    def body(comm: hawser.Communicator) -> None:
        weight = torch.nn.Parameter(torch.zeros(5, device=device))
        parallel = DataParallel([weight], comm)
        (weight * float(comm.rank + 1)).sum().backward()
        parallel.finish()
        assert weight.grad is not None and weight.grad.device.type == device
        assert weight.grad.tolist() == [1.5] * 5
        parallel.close()

    run_threads(master.address, 2, body)


@pytest.mark.parametrize("device", DEVICES)
def test_collectives_of_the_backend(master: hawser.Master, device: str) -> None:
    def body(comm: hawser.Communicator) -> None:
        group, rank = group_of(comm), comm.rank
        give = [torch.arange(COUNT, device=device) % 97 * (i + 1) for i in range(2)]
        both = torch.stack(give)

        for dtype in (torch.float32, torch.bfloat16, torch.int64):
            x = give[rank].to(dtype).clone()
            group.allreduce([x]).wait()
            assert torch.equal(x, (give[0].to(dtype) + give[1].to(dtype)))
        strided = both.t().contiguous().t().clone(memory_format=torch.preserve_format) * (rank + 1)
        group.allreduce([strided]).wait()
        assert torch.equal(strided, both * 3)

        x = give[rank].clone()
        group.broadcast([x]).wait()
        assert torch.equal(x, give[0])
        whole = torch.empty_like(both)
        group.all_gather_single(whole, give[rank]).wait()
        assert torch.equal(whole, both)
        parts = [torch.empty_like(give[0]) for _ in range(2)]
        group.allgather([parts], [give[rank]]).wait()
        assert torch.equal(torch.stack(parts), both)
        share = torch.empty_like(give[0])
        group.reduce_scatter_single(share, both).wait()
        assert torch.equal(share, 2 * give[rank])
        group.reduce_scatter([share], [list(both)]).wait()
        assert torch.equal(share, 2 * give[rank])
        group.scatter([share], [list(both)] if rank == 0 else []).wait()
        assert torch.equal(share, give[rank])
        outputs = [[torch.empty_like(give[0]) for _ in range(2)]] if rank == 0 else []
        group.gather(outputs, [give[rank]]).wait()
        assert rank == 1 or torch.equal(torch.stack(outputs[0]), both)
        group.barrier().wait()
        group.shutdown()

    run_threads(master.address, 2, body)


@pytest.mark.parametrize("device", DEVICES)
def test_a_call_follows_what_the_current_stream_has_to_do(master: hawser.Master, device: str) -> None:
    def body(comm: hawser.Communicator) -> None:
        group = group_of(comm)
        stream = torch.cuda.Stream() if device == "cuda" else None
        with torch.cuda.stream(stream):
            x = torch.eye(512, device=device)
            for _ in range(50):
                x = x @ x  # keeps the stream busy
            x = x * (comm.rank + 1)
            work = group.allreduce([x])
            work.block_current_stream()
            doubled = x * 2
            group.allreduce([doubled]).wait()
        if stream is not None:
            stream.synchronize()
        assert torch.equal(doubled, torch.eye(512, device=device) * 12)
        group.shutdown()

    run_threads(master.address, 2, body)


@needs_cuda
@pytest.mark.parametrize("blocking", [False, True])
def test_waiting_on_cuda_is_the_streams_part(master: hawser.Master, blocking: bool) -> None:
    may_call = threading.Event()

    def body(comm: hawser.Communicator) -> None:
        group = group_of(comm, Options(blocking_wait=blocking))
        x = torch.full((COUNT,), float(comm.rank + 1), device="cuda")
        if comm.rank == 1:
            assert may_call.wait(60)
        work = group.allreduce([x])
        if blocking:
            may_call.set()
        assert work.wait()
        if comm.rank == 0 and not blocking:
            assert not work.is_completed()
            may_call.set()
        assert (x * 2).eq(6).all().item()
        group.shutdown()

    run_threads(master.address, 2, body)


class RestartedOnce:
    """Stands for a communicator of two members whose master is restarted under the first call."""

    members: list[hawser.Member] = []

    def all_reduce_async(self, tensor: Any, **options: Any) -> Any:
        return self

    def wait(self) -> Any:
        raise hawser.MasterRestarted("the master was restarted; call again")

    def all_reduce(self, tensor: Any, **options: Any) -> Any:
        tensor.fill_(7.0)
        return types.SimpleNamespace(world_size=2)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("is_waited_for", [False, True])
def test_what_a_stream_has_waited_for_is_not_made_again(is_waited_for: bool) -> None:
    comm: Any = RestartedOnce()
    group = StaticGroup(Gathered(comm=comm, master=None, rank_at=[0, 1], names={}, peer_ids={}))
    operation = AllReduce(group, Options(), torch.zeros(3), op=hawser.ReduceOp.SUM, tag=0)
    operation.begin()
    operation._is_waited_for = is_waited_for
    if is_waited_for:
        with pytest.raises(ProcessGroupBroken, match="the master was restarted"):
            operation.finish()
        with pytest.raises(ProcessGroupBroken, match="the master was restarted"):
            group.check()
    else:
        operation.finish()
    assert operation.tensors[0].tolist() == [0.0 if is_waited_for else 7.0] * 3


def test_a_call_takes_tensors_of_one_device() -> None:
    with pytest.raises(ValueError, match="tensors of one device in a call, not of cpu, meta"):
        StreamOrder([torch.zeros(1), torch.zeros(1, device="meta")])


@needs_cuda
@pytest.mark.parametrize("library", ["cupy", "numba.cuda"])
def test_arrays_of_other_libraries(master: hawser.Master, library: str) -> None:
    module = pytest.importorskip(library)

    def body(comm: hawser.Communicator) -> None:
        ones = torch.ones(COUNT).numpy()
        array = module.asarray(ones) if library == "cupy" else module.to_device(ones)
        comm.all_reduce(array)
        assert (torch.as_tensor(array, device="cuda") == 2).all().item()

    run_threads(master.address, 2, body)
