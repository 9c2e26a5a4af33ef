"""hawser.compat.pccl, from programs that are written as for PCCL."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from peers import BOUND_S

import hawser.compat.pccl as pccl
from hawser.compat.pccl import (
    Attribute,
    Communicator,
    DataType,
    DeviceType,
    MasterNode,
    PCCLError,
    QuantizationAlgorithm,
    QuantizationOptions,
    ReduceDescriptor,
    ReduceOp,
    ReduceOpDescriptor,
    ReduceOperandDescriptor,
    Result,
    SharedState,
    SharedStateSyncStrategy,
    TensorInfo,
)

NO_QUANTIZATION = QuantizationOptions(DataType.FLOAT, QuantizationAlgorithm.NONE)


@pytest.fixture
def address() -> Iterator[str]:
    node = MasterNode("127.0.0.1:0")
    node.run()
    yield node.address
    node.interrupt()


def run_peers(address: str, bodies: list[Callable[[Communicator], None]]) -> None:
    """Runs each body with a communicator of its own in a thread, once all are members."""
    errors: list[BaseException] = []

    def peer(body: Callable[[Communicator], None]) -> None:
        comm = Communicator(address)
        try:
            comm.connect()
            while comm.get_attribute(Attribute.LOCAL_WORLD_SIZE) < len(bodies):
                comm.update_topology()
            body(comm)
        except BaseException as error:
            errors.append(error)
        finally:
            comm.close()

    threads = [threading.Thread(target=peer, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
        assert not thread.is_alive(), "a peer did not end"
    if errors:
        raise errors[0]


def describe(array: np.ndarray, tag: int) -> ReduceOpDescriptor:
    descriptor = ReduceDescriptor(
        array.size, ReduceOp.SUM, tag, ReduceOperandDescriptor(DataType.FLOAT), NO_QUANTIZATION
    )
    return ReduceOpDescriptor.from_numpy(array, array, descriptor)


def count_members(comm: Communicator) -> int:
    """As programs for PCCL do it: again after a loss, as long as somebody else is there."""
    ones, sums = np.ones(100, np.float32), np.zeros(100, np.float32)
    while comm.get_attribute(Attribute.LOCAL_WORLD_SIZE) > 1:
        ok, status, info = comm.all_reduce_async(ones, sums, op=ReduceOp.SUM, tag=5).wait()
        if ok:
            assert (sums == info.local_world_size).all()
            return info.local_world_size
        assert status == Result.RANK_CONNECTION_LOST.value and (ones == 1).all()
    return 1


def test_collectives_and_losses(address: str) -> None:
    def collectives(comm: Communicator) -> None:
        assert comm.get_attribute(Attribute.GLOBAL_WORLD_SIZE) == 3
        assert comm.get_attribute(Attribute.NUM_DISTINCT_PEER_GROUPS) == 1
        comm.optimize_topology()
        assert comm.are_peers_pending() is False
        values = np.full(1000, 2.0)
        info = comm.all_reduce(values, values, op=ReduceOp.PROD)
        assert info.local_world_size == 3 and info.rx_bytes > 0 and (values == 8).all()
        quantized = QuantizationOptions(DataType.UINT16, QuantizationAlgorithm.ZERO_POINT_SCALE)
        single = np.full(1000, 3.0, np.float32)
        handle = comm.all_reduce_async(single, single, op=ReduceOp.AVG, tag=4, quantization_options=quantized)
        for refused, result in (
            (lambda: comm.all_reduce_async(values, values, op=ReduceOp.SUM, tag=4), Result.INVALID_ARGUMENT),
            (comm.update_topology, Result.PENDING_ASYNC_OPS),
            (lambda: comm.all_reduce(values, values, op=ReduceOp.SUM, tag=2**64 - 1), Result.INVALID_ARGUMENT),
        ):
            with pytest.raises(PCCLError) as raised:
                refused()
            assert raised.value.result is result
        assert handle.wait()[0] and handle.wait()[0] and np.allclose(single, 3, atol=0.01)
        arrays = [np.full(100, tag, np.float32) for tag in range(5)]
        info = comm.all_reduce_multiple_with_retry(
            [describe(array, tag) for tag, array in enumerate(arrays)], max_in_flight=2
        )
        # The size is that of the end, when others may have left.
        assert info.local_world_size <= 3 and all((array == 3 * tag).all() for tag, array in enumerate(arrays))

    def leaves(comm: Communicator) -> None:
        collectives(comm)

    def stays(comm: Communicator) -> None:
        collectives(comm)
        while count_members(comm) > 1:
            pass
        with pytest.raises(PCCLError) as raised:
            comm.all_reduce_multiple_with_retry([describe(np.ones(1, np.float32), 0)])
        assert raised.value.result is Result.TOO_FEW_PEERS

    run_peers(address, [leaves, leaves, stays])


def test_a_newcomer(address: str) -> None:
    both = threading.Event()

    def newcomer() -> None:
        assert both.wait(BOUND_S)
        comm = Communicator(address)
        comm.connect()
        assert count_members(comm) == 3

    def member(comm: Communicator) -> None:
        both.set()
        while not comm.are_peers_pending():
            pass
        comm.update_topology()
        assert count_members(comm) >= 2

    thread = threading.Thread(target=newcomer, daemon=True)
    thread.start()
    run_peers(address, [member, member])
    thread.join(BOUND_S)
    assert not thread.is_alive()


def test_shared_state(address: str) -> None:
    def of(first: float, strategy: SharedStateSyncStrategy) -> Callable[[Communicator], None]:
        def body(comm: Communicator) -> None:
            weights, local = np.full(1000, first, np.float32), np.full(3, first)
            raw = np.full(10, int(first), np.int16)
            state = SharedState(
                [
                    TensorInfo.from_numpy(weights, "weights"),
                    TensorInfo.from_numpy(local, "local", allow_content_inequality=True),
                    TensorInfo(
                        "raw",
                        raw.ctypes.data,
                        numel=10,
                        dtype=DataType.INT16,
                        device_type=DeviceType.CPU,
                        allow_content_inequality=False,
                    ),
                ]
            )
            state.revision = 3
            info = comm.sync_shared_state(state, strategy)
            assert (weights == 7).all() and (raw == 7).all() and (local == first).all() and state.revision == 3
            assert info.rx_bytes == (0 if first == 7 else 4020)
            sums = np.array([info.tx_bytes, info.rx_bytes])
            comm.all_reduce(sums, sums, op=ReduceOp.SUM)
            assert sums[0] == sums[1] > 0
            state.push_revision()
            info = comm.sync_shared_state(state)
            assert info.rx_bytes == info.tx_bytes == 0 and state.revision == 4
            state.revision = 9
            with pytest.raises(PCCLError, match="one at most") as raised:
                comm.sync_shared_state(state)
            assert raised.value.result is Result.INVALID_USAGE

        return body

    run_peers(
        address,
        [of(7, SharedStateSyncStrategy.ENFORCE_POPULAR)] * 2 + [of(5, SharedStateSyncStrategy.ENFORCE_POPULAR)],
    )
    run_peers(
        address, [of(7, SharedStateSyncStrategy.SEND_ONLY)] + [of(5, SharedStateSyncStrategy.RECEIVE_ONLY)] * 2
    )


def test_refusals() -> None:
    with socket.socket() as nobody:  # Bound, and not listened on.
        nobody.bind(("127.0.0.1", 0))
        comm = Communicator(f"127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(PCCLError, match="nobody accepts connections") as raised:
            comm.connect(n_attempts=1)
        assert raised.value.result is Result.MASTER_CONNECTION_FAILED
        with pytest.raises(PCCLError) as raised:
            comm.update_topology()
        assert raised.value.result is Result.INVALID_USAGE
    with pytest.raises(ValueError, match="HOST:PORT"):
        Communicator("somewhere")
    node = MasterNode("127.0.0.1:0")
    with pytest.raises(PCCLError):
        node.interrupt()
    node.run()
    taken = MasterNode(node.address)
    with pytest.raises(PCCLError, match="in use"):
        taken.run()
    node.interrupt()


def test_types() -> None:
    assert pccl.cuda.is_available()
    for kind in DataType:
        if kind is not DataType.BFLOAT16:
            assert DataType.from_numpy_dtype(kind.to_numpy_dtype()) is kind
    with pytest.raises(ValueError):
        DataType.from_numpy_dtype(np.dtype(np.complex64))
    with pytest.raises(ValueError, match="no memory"):
        TensorInfo(
            "none", 0, numel=1, dtype=DataType.INT8, device_type=DeviceType.CPU, allow_content_inequality=False
        )
    torch = pytest.importorskip("torch")
    for kind in DataType:
        assert DataType.from_torch_dtype(kind.to_torch_dtype()) is kind
    assert TensorInfo.from_torch(torch.ones(3, dtype=torch.bfloat16), "halves").dtype is DataType.BFLOAT16


def test_a_program_may_end_with_run() -> None:
    code = (
        "import hawser.compat.pccl as pccl\n"
        "def main():\n"
        "    node = pccl.MasterNode('127.0.0.1:0')\n"
        "    node.run()\n"
        "    print(node.address, flush=True)\n"
        "main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None
        address = master.stdout.readline().strip()
        run_peers(address, [lambda comm: None])
        assert master.poll() is None
        master.terminate()
        assert master.wait(BOUND_S) != 0
