from __future__ import annotations

import array
import threading
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
from peers import PeerProcess, communicator, joined, run_threads

import hawser
from hawser import Plan, Quantization, QuantizedType, ReduceOp

TYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def all_collectives(comm: hawser.Communicator, type_name: str) -> None:
    """Small whole numbers, so that every type counts right."""
    world, rank = comm.group_size, comm.rank
    ranks = np.arange(world)

    def ours(count: int) -> Any:
        return (np.arange(count) % 5 + rank + 1).astype(type_name)

    def all_of(count: int) -> Any:
        return np.arange(count) % 5 + ranks[:, None] + 1

    for plan in (Plan.RING, Plan.DIRECT):
        tensor = ours(1000).reshape(10, 100)
        info = comm.all_reduce(tensor, plan=plan)
        assert np.array_equal(tensor.ravel(), all_of(1000).sum(axis=0))
        assert info.world_size == world and info.rank == rank and info.plan == plan
        assert info.contributors == [member.peer_id for member in comm.members]

    send = ours(77)
    receive = np.zeros_like(send)
    comm.all_reduce(send, receive, op=ReduceOp.MAX)
    assert np.array_equal(receive, all_of(77).max(axis=0)) and np.array_equal(send, ours(77))
    comm.all_reduce(send, receive, op=ReduceOp.MIN)
    assert np.array_equal(receive, all_of(77).min(axis=0))
    comm.all_reduce(send, receive, op=ReduceOp.PROD)
    assert np.array_equal(receive, all_of(77).prod(axis=0).astype(type_name))

    gathered = np.zeros((world, 33), type_name)
    comm.all_gather(ours(33), gathered)
    assert np.array_equal(gathered, all_of(33))
    gathered = np.zeros((world, 33), type_name)
    gathered[rank] = ours(33)
    comm.all_gather(gathered[rank], gathered)  # in place
    assert np.array_equal(gathered, all_of(33))

    share = np.zeros(20, type_name)
    comm.reduce_scatter(ours(20 * world), share)
    assert np.array_equal(share, all_of(20 * world).sum(axis=0)[rank * 20 : rank * 20 + 20])

    tensor = ours(50)
    comm.broadcast(tensor, 1)
    assert np.array_equal(tensor, all_of(50)[1])

    assert comm.barrier().world_size == world


@pytest.mark.parametrize("type_name", TYPES)
def test_all_collectives_of_a_type(master: hawser.Master, type_name: str) -> None:
    run_threads(master.address, 3, lambda comm: all_collectives(comm, type_name))


def peer_of_all_types(address: str, pipe: Connection) -> int:
    with joined(address, 2) as comm:
        for type_name in TYPES:
            all_collectives(comm, type_name)
        return comm.barrier().world_size


def test_all_collectives_between_processes(master: hawser.Master) -> None:
    peers = [PeerProcess(peer_of_all_types, master.address) for _ in range(2)]
    assert [peer.result() for peer in peers] == [2, 2]


def test_torch(master: hawser.Master) -> None:
    torch = pytest.importorskip("torch")
    types = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int8, torch.uint8, torch.int64]

    def body(comm: hawser.Communicator) -> None:
        for dtype in types:
            tensor = torch.full((4, 5), comm.rank + 1, dtype=dtype)
            comm.all_reduce(tensor)
            assert (tensor == 3).all()
            out = torch.zeros(2, 20, dtype=dtype)
            comm.all_gather(tensor.flatten(), out)
            assert (out == 3).all()
        parameter = torch.nn.Parameter(torch.full((7,), float(comm.rank), dtype=torch.bfloat16))
        comm.all_reduce(parameter, op=ReduceOp.AVG)
        assert (parameter == 0.5).all() and parameter.requires_grad
        state = hawser.SharedState({"weights": parameter})
        parameter.data.fill_(comm.rank)
        state.sync(comm)
        assert (parameter == 0).all()

    run_threads(master.address, 2, body)


def test_other_memory(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        numbers = array.array("d", [1.0, 2.0, 3.0])
        comm.all_reduce(numbers)
        assert list(numbers) == [2.0, 4.0, 6.0]
        raw = bytearray(b"\x01\x02")
        comm.all_reduce(memoryview(raw))
        assert raw == b"\x02\x04"
        received = np.zeros(2, np.uint8)
        comm.all_reduce(b"\x05\x06", received)  # read-only is good enough to send
        assert list(received) == [10, 12]
        column = np.asfortranarray(np.ones((5, 1), np.float32))
        comm.all_reduce(column)
        scalar = np.array(3.0)
        comm.all_reduce(scalar)
        assert scalar == 6 and (column == 2).all()

    run_threads(master.address, 2, body)


def test_averages_and_quantization(master: hawser.Master) -> None:
    schemes = [
        Quantization.min_max(),
        Quantization.zero_point_scale(QuantizedType.INT8),
        Quantization.blockwise(QuantizedType.INT4, block=64),
        Quantization.blockwise(stochastic=True),
        Quantization.cast(QuantizedType.FLOAT16),
    ]

    def body(comm: hawser.Communicator) -> bytes:
        digest = b""
        for scheme in schemes:
            tensor = np.sin(np.arange(4096, dtype=np.float32) * (comm.rank + 1))
            expected = np.mean([np.sin(np.arange(4096) * (rank + 1)) for rank in range(2)], axis=0)
            info = comm.all_reduce(tensor, op=ReduceOp.AVG, quantization=scheme, compress=True)
            assert np.abs(tensor - expected).max() < 0.2
            assert info.bytes_sent < 4096 * 4
            digest += tensor.tobytes()
        return digest

    first, second = run_threads(master.address, 2, body)
    assert first == second


def test_residual(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        tensor = np.linspace(0, 1, 1000, dtype=np.float32)
        residual = hawser.Residual.like(tensor)
        assert residual.norm == 0
        comm.all_reduce(tensor, quantization=Quantization.min_max(), residual=residual)
        assert 0 < residual.norm < 0.1
        residual.reset()
        assert residual.norm == 0
        with pytest.raises(hawser.InvalidArgument):
            comm.all_reduce(tensor, residual=residual)  # nothing is lost without quantisation

    run_threads(master.address, 2, body)


def test_async(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        tensors = [np.full(1000 + tag, comm.rank + tag, np.int32) for tag in range(32)]
        ops = [comm.all_reduce_async(tensor, tag=tag) for tag, tensor in enumerate(tensors)]
        for tag, op in enumerate(ops):
            info = op.wait()
            assert op.test() and op.wait().sequence == info.sequence and info.world_size == 2
            assert (tensors[tag] == 2 * tag + 1).all()
        # Dropped before its end, an operation goes on.
        dropped = np.full(1000, 1, np.int32)
        op = comm.all_reduce_async(dropped, tag=99)
        del op
        comm.barrier()
        comm.all_reduce(np.zeros(1), tag=98)
        comm.barrier()

    run_threads(master.address, 2, body)


def test_async_timeout(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        tensor = np.ones(3, np.float32)
        if comm.rank == 0:
            op = comm.all_reduce_async(tensor, tag=1)
            with pytest.raises(hawser.Timeout):
                op.wait(timeout_ms=50)
            assert not op.test()
            with pytest.raises(hawser.InvalidUsage):
                comm.all_reduce(tensor.copy(), tag=1)
            comm.barrier()
            op.wait()
        else:
            comm.barrier()
            comm.all_reduce(tensor, tag=1)
        assert (tensor == 2).all()

    run_threads(master.address, 2, body)


def test_many(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        tensors = [np.full(10 + i, i + comm.rank, np.float32) for i in range(50)]
        info = comm.all_reduce_many(tensors, op=ReduceOp.AVG)
        assert info.tensors == 50 and info.collectives < 50 and info.attempts == 1
        assert info.world_size_least == info.world_size_most == 2
        assert all((tensor == i + 0.5).all() for i, tensor in enumerate(tensors))
        out = [np.zeros_like(tensor) for tensor in tensors]
        comm.all_reduce_many(tensors, out, first_tag=100)
        assert all((tensor == 2 * i + 1).all() for i, tensor in enumerate(out))

    run_threads(master.address, 2, body)


def test_groups(master: hawser.Master) -> None:
    def peer(group: int) -> None:
        with communicator(master.address, group=group) as comm:
            comm.connect()
            while comm.world_size < 4:
                comm.update_topology()
            assert comm.info().group_count == 2 and comm.info().group == group
            tensor = np.full(5, 10**group)
            info = comm.all_reduce(tensor)
            assert info.world_size == 2 and (tensor == 2 * 10**group).all()
            seen.append(group)
            nobody_leaves_before.wait(60)

    seen: list[int] = []
    nobody_leaves_before = threading.Barrier(4)
    threads = [threading.Thread(target=peer, args=(i % 2,), daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seen) == [0, 0, 1, 1]
