from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers import PeerProcess, communicator, joined, run_threads

import hawser


def test_kinds() -> None:
    kinds = [kind for kind in hawser.HawserError.__subclasses__() if kind.__module__ == "hawser.errors"]
    assert len(kinds) == 13 and {kind.code for kind in kinds} == set(range(1, 14))
    assert issubclass(hawser.Timeout, TimeoutError) and issubclass(hawser.SystemFailure, OSError)
    assert {kind for kind in kinds if kind.can_retry} == {
        hawser.PeerLost,
        hawser.Mismatch,
        hawser.Timeout,
        hawser.MasterRestarted,
    }


class OnDevice:
    """A NumPy array that says it is somewhere else."""

    def __init__(self, device_type: int) -> None:
        self._array = np.zeros(4, np.float32)
        self._device_type = device_type

    def __dlpack__(self, **_: Any) -> Any:
        capsule = self._array.__dlpack__()
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        # struct DLTensor { void* data; struct { int32 device_type, device_id; } ... }
        address = get(capsule, b"dltensor")
        assert isinstance(address, int)
        ctypes.c_int32.from_address(address + ctypes.sizeof(ctypes.c_void_p)).value = self._device_type
        return capsule


def test_options_that_are_refused() -> None:
    with pytest.raises(hawser.InvalidArgument, match="no_such"):
        communicator("127.0.0.1:1", congestion_control="no_such")
    with pytest.raises(hawser.InvalidArgument, match="buffer"):
        communicator("127.0.0.1:1", send_buffer_bytes=(1 << 30) + 1)
    with pytest.raises(hawser.InvalidArgument, match="straggler policy"):
        hawser.Master("127.0.0.1:0", straggler_policy="shoot")
    with pytest.raises(hawser.InvalidArgument, match="straggler_ratio"):
        hawser.Master("127.0.0.1:0", straggler_ratio=1.5)


def test_links_with_options_of_their_own() -> None:
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200, straggler_policy="expel", straggler_ms=5000) as master:
        run_threads(
            master.address,
            2,
            lambda comm: comm.all_reduce(np.ones(1000)),
            congestion_control="reno",
            send_buffer_bytes=1 << 20,
            receive_buffer_bytes=1 << 20,
        )


def test_tensors_that_are_refused() -> None:
    read_only = np.ones(4)
    read_only.flags.writeable = False
    with communicator("127.0.0.1:1") as comm:
        for tensor, words in [
            (np.ones((4, 4))[:, ::2], "not contiguous"),
            (np.ones((4, 3)).T, "not contiguous"),
            (np.ones(4, bool), "type that does not travel"),
            (np.ones(4, complex), "type that does not travel"),
            (read_only, "read-only"),
            (b"bytes", "read-only"),
            (OnDevice(2), "no device is known here that has its memory"),
            (OnDevice(7), "does not know"),
        ]:
            with pytest.raises(hawser.InvalidArgument, match=words):
                comm.all_reduce(tensor)
        for no_tensor in ([1.0, 2.0], 3, "text"):
            with pytest.raises(TypeError, match="DLPack"):
                comm.all_reduce(no_tensor)  # type: ignore[arg-type]
        with pytest.raises(hawser.InvalidArgument, match="3 elements, not 4"):
            comm.all_reduce(np.ones(4), np.ones(3))
        with pytest.raises(hawser.InvalidArgument, match="different types"):
            comm.all_reduce(np.ones(4), np.ones(4, np.float32))
        with pytest.raises(TypeError, match="give a hawser.ReduceOp"):
            comm.all_reduce(np.ones(4), op=3)  # type: ignore[arg-type]
        with pytest.raises(hawser.InvalidArgument, match="one of 'sum'"):
            comm.all_reduce(np.ones(4), op="total")


def test_arguments(master: hawser.Master) -> None:
    with pytest.raises(hawser.InvalidArgument):
        hawser.Communicator("nonsense")
    with pytest.raises(hawser.InvalidArgument):
        hawser.Master("127.0.0.1:99999")
    with pytest.raises(hawser.SystemFailure):
        hawser.Master(master.address)

    def body(comm: hawser.Communicator) -> None:
        with pytest.raises(hawser.InvalidArgument, match="5 elements, not 6"):
            comm.all_gather(np.ones(3), np.ones(5))
        with pytest.raises(hawser.InvalidArgument):
            comm.all_reduce(np.ones(0))
        values = np.ones(8)
        with pytest.raises(hawser.InvalidUsage, match="overlap"):
            comm.all_reduce(values[:6], values[2:])
        comm.barrier()

    run_threads(master.address, 2, body)


def test_not_connected(master: hawser.Master) -> None:
    comm = communicator(master.address)
    for call in (comm.barrier, comm.info, comm.update_topology):
        with pytest.raises(hawser.InvalidUsage, match="not connected"):
            call()
    comm.close()
    comm.close()
    for call in (comm.barrier, comm.info, comm.update_topology, comm.connect):
        with pytest.raises(hawser.Closed):
            call()
    assert comm.closed


def test_alone(master: hawser.Master) -> None:
    with joined(master.address, 1) as comm, pytest.raises(hawser.TooFewPeers):
        comm.all_reduce(np.ones(3))


def test_unreachable_master() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        with hawser.Communicator(address, connect_ms=300, master_redial_ms=200) as comm:
            with pytest.raises((hawser.MasterUnreachable, hawser.Timeout)):
                comm.connect()


def test_mismatch(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        tensor = np.ones(10 + comm.rank)
        with pytest.raises(hawser.Mismatch) as raised:
            comm.all_reduce(tensor)
        assert raised.value.can_retry and (tensor == 1).all() and str(raised.value)
        comm.all_reduce(tensor[:10])
        many = [np.ones(4), np.ones(5 + comm.rank)]
        with pytest.raises(hawser.Mismatch) as several:
            comm.all_reduce_many(many, fuse_bytes=1)
        assert several.value.done is not None and len(several.value.done) == 2
        comm.barrier(tag=7)

    run_threads(master.address, 2, body)


def test_timeout() -> None:
    ended = threading.Event()

    def body(comm: hawser.Communicator) -> None:
        if comm.rank == 0:
            with pytest.raises(hawser.Timeout):
                comm.barrier()
            ended.set()
        else:
            assert ended.wait(60)

    with hawser.Master("127.0.0.1:0", bootstrap_ms=200, call_wait_ms=500) as master:
        run_threads(master.address, 2, body)


def test_master_restarted() -> None:
    first = hawser.Master("127.0.0.1:0", bootstrap_ms=200)
    address = first.address
    second: list[hawser.Master] = []
    told = threading.Event()

    def body(comm: hawser.Communicator) -> None:
        tensor = np.ones(100)
        comm.barrier()
        if comm.rank == 0:
            op = comm.all_reduce_async(tensor)
            first.close()
            second.append(hawser.Master(address, bootstrap_ms=200))
            with pytest.raises(hawser.MasterRestarted):
                op.wait()
            assert (tensor == 1).all()
            told.set()
        else:
            assert told.wait(60)
        while True:  # the other member may be told by this call
            try:
                comm.all_reduce(tensor)
                break
            except hawser.MasterRestarted:
                assert (tensor == 1).all()
        assert (tensor == 2).all()
        comm.barrier(tag=1)

    run_threads(address, 2, body)
    second[0].close()


def reduce_until_killed(address: str, pipe: Connection, victim: bool) -> tuple[int, int]:
    with joined(address, 3) as comm:
        tensor = np.ones(1 << 24, np.float32)
        comm.barrier()
        pipe.send("calling")
        if victim:
            pipe.recv()
            comm.all_reduce_async(tensor)
            os.kill(os.getpid(), signal.SIGKILL)
        lost = 0
        while True:
            try:
                info = comm.all_reduce(tensor)
            except hawser.PeerLost:
                lost += 1
                assert (tensor == 1).all()
                continue
            assert (tensor == info.world_size).all()
            return lost, info.world_size


def test_a_killed_peer(master: hawser.Master) -> None:
    peers = [PeerProcess(reduce_until_killed, master.address, victim) for victim in (False, False, True)]
    for peer in peers:
        assert peer.receive() == "calling"
    peers[2].pipe.send("call, and die")
    survivors = [peer.result() for peer in peers[:2]]
    assert [world for _, world in survivors] == [2, 2] and any(lost == 1 for lost, _ in survivors)
    peers[2].process.join(60)
    assert peers[2].process.exitcode == -signal.SIGKILL


def barrier_twice(address: str, pipe: Connection) -> str:
    with joined(address, 2) as comm:
        comm.barrier()
        pipe.send("joined")
        pipe.recv()
        try:
            comm.barrier()
        except hawser.Expelled as error:
            assert error.must_reconnect
            return "expelled"
        return "not expelled"


def test_expelled() -> None:
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200, silence_ms=1500) as master:
        peer = PeerProcess(barrier_twice, master.address)
        with joined(master.address, 2) as comm:
            comm.barrier()
            assert peer.receive() == "joined"
            os.kill(peer.pid, signal.SIGSTOP)
            try:
                with pytest.raises((hawser.PeerLost, hawser.TooFewPeers)):
                    comm.barrier()
            finally:
                os.kill(peer.pid, signal.SIGCONT)
            peer.pipe.send("go on")
            assert peer.result() == "expelled"


def test_files(tmp_path: Path) -> None:
    state = hawser.SharedState({"weights": np.ones(4)})
    with pytest.raises(hawser.SystemFailure):
        state.load(tmp_path / "nowhere")
    (tmp_path / "text").write_text("no checkpoint")
    with pytest.raises(hawser.Refused):
        state.load(tmp_path / "text")
