"""What waits gives way: to Ctrl-C, to other threads, to close()."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers import PeerProcess, communicator, gather, joined, run_threads

import hawser

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    "call", ["connect", "update_topology", "barrier", "all_reduce", "all_reduce_many", "wait", "sync"]
)
def test_ctrl_c(master: hawser.Master, call: str) -> None:
    with communicator(master.address) as other:
        other.connect()
        waiter = subprocess.Popen(
            [sys.executable, str(HERE / "ctrl_c_waiter.py"), call, master.address], stdout=subprocess.PIPE, text=True
        )
        assert waiter.stdout is not None
        # The waiter of "connect" is pending for good: this member does not admit it. The others get one partner,
        # and wait in their call for a member that does not call.
        if call != "connect":
            gather(other, 2)
        if call == "update_topology":
            # That returns at once if nobody waits for admission.
            third = communicator(master.address)
            threading.Thread(target=lambda: _connect_or_not(third), daemon=True).start()
        assert waiter.stdout.readline() == "inside\n"
        begun = time.monotonic()
        waiter.send_signal(signal.SIGINT)
        assert waiter.stdout.readline() == "interrupted\n"
        assert time.monotonic() - begun < 2
        assert waiter.stdout.readline() == "closed\n"
        assert waiter.wait(30) == 0
        assert time.monotonic() - begun < 5
        waiter.stdout.close()
        if call == "update_topology":
            third.close()


def _connect_or_not(comm: hawser.Communicator) -> None:
    try:
        comm.connect()
    except hawser.HawserError:
        pass


def test_other_threads_go_on(master: hawser.Master) -> None:
    """One peer waits until the other, in the same interpreter, has counted."""
    counted: list[int] = []

    def body(comm: hawser.Communicator) -> None:
        if comm.rank == 0:
            counted.append(sum(1 for _ in range(200_000)))
        comm.barrier()
        assert counted == [200_000]

    run_threads(master.address, 2, body)


def test_the_main_thread_waits_and_others_go_on(master: hawser.Master) -> None:
    counted: list[int] = []

    def other() -> None:
        with joined(master.address, 2) as comm:
            inside.wait(60)
            counted.append(sum(1 for _ in range(200_000)))
            comm.barrier()
            comm.all_reduce(np.ones(4))

    inside = threading.Event()
    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    with joined(master.address, 2) as comm:
        inside.set()
        comm.barrier()
        assert counted == [200_000]
        comm.all_reduce(np.ones(4))
    thread.join(60)


def test_close_ends_calls(master: hawser.Master) -> None:
    """Several threads wait in several calls; close() from yet another one ends them all with Closed."""
    ends: list[str] = []

    def waiting(call: Callable[[], Any]) -> None:
        try:
            call()
            ends.append("returned")
        except hawser.HawserError as error:
            ends.append(type(error).__name__)

    def body(comm: hawser.Communicator) -> None:
        if comm.rank == 0:
            state = hawser.SharedState({"values": np.zeros(10)})
            calls: list[Callable[[], Any]] = [
                lambda: comm.barrier(tag=1),
                lambda: comm.all_reduce(np.ones(10), tag=2),
                lambda: state.sync(comm, tag=3),
                lambda: comm.broadcast(np.ones(10), 0, tag=4),
            ]
            op = comm.all_reduce_async(np.ones(10), tag=5)
            threads = [threading.Thread(target=waiting, args=(call,), daemon=True) for call in calls]
            for thread in threads:
                thread.start()
            comm.barrier(tag=6)
            comm.close()
            for thread in threads:
                thread.join(30)
            with pytest.raises(hawser.Closed):
                op.wait()
            assert ends == ["Closed"] * len(calls)
            left.set()
        else:
            comm.barrier(tag=6)
            assert left.wait(60)

    left = threading.Event()
    run_threads(master.address, 2, body)


def test_with_closes(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        assert not comm.closed
    assert comm.closed
    with pytest.raises(RuntimeError), communicator(master.address) as comm:
        raise RuntimeError
    assert comm.closed
    with hawser.Master("127.0.0.1:0") as other:
        address = other.address
    with hawser.Master(address):  # its port is free again
        assert other.wait(0)


def test_many_threads(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        def reduce(tag: int) -> None:
            for _ in range(20):
                tensor = np.full(500, tag, np.int64)
                comm.all_reduce(tensor, tag=tag)
                done.append(bool((tensor == 2 * tag).all()))

        done: list[bool] = []
        threads = [threading.Thread(target=reduce, args=(tag,), daemon=True) for tag in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert done == [True] * 320

    run_threads(master.address, 2, body)


class Array(np.ndarray[Any, Any]):
    """One that can be watched."""


def test_nothing_is_kept(master: hawser.Master) -> None:
    def watched() -> tuple[Array, weakref.ref[Array]]:
        tensor = np.ones(1000).view(Array)
        return tensor, weakref.ref(tensor)

    def body(comm: hawser.Communicator) -> None:
        refs = []
        tensor, ref = watched()
        comm.all_reduce(tensor)
        refs.append(ref)
        tensor, ref = watched()
        op = comm.all_reduce_async(tensor)
        op.wait()
        refs.append(ref)
        tensor, ref = watched()
        comm.all_gather(tensor, np.zeros(2000))
        refs.append(ref)
        tensor, ref = watched()
        comm.all_reduce_many([tensor])
        refs.append(ref)
        tensor, ref = watched()
        state = hawser.SharedState({"tensor": tensor})
        state.sync(comm)
        refs.append(ref)
        with pytest.raises(hawser.InvalidArgument):
            comm.all_reduce(tensor, np.ones(3))
        del tensor, state
        gc.collect()
        assert [ref() for ref in refs] == [None] * len(refs)
        # While it is under way, it is kept; afterwards the next call lets it go.
        tensor, ref = watched()
        if comm.rank == 0:
            op = comm.all_reduce_async(tensor, tag=7)
            del op, tensor
            gc.collect()
            assert ref() is not None
            comm.barrier()
        else:
            comm.barrier()
            comm.all_reduce(tensor, tag=7)
            del tensor
        comm.barrier()
        comm.barrier()
        assert ref() is None

    run_threads(master.address, 2, body)


def test_references_of_calls(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        tensor = np.ones(10)
        before = sys.getrefcount(tensor)
        for _ in range(100):
            comm.all_reduce(tensor)
            comm.broadcast(tensor, 0)
        assert sys.getrefcount(tensor) == before
        comm.barrier()

    threads_before = len(os.listdir("/proc/self/task"))
    run_threads(master.address, 2, body)
    deadline = time.monotonic() + 30
    while len(os.listdir("/proc/self/task")) > threads_before:  # a joined thread is listed for a moment still
        assert time.monotonic() < deadline


def forks(address: str, pipe: Connection) -> int:
    with joined(address, 2) as comm:
        op = comm.all_reduce_async(np.ones(1 << 20))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                comm.barrier()
            except hawser.InvalidUsage:
                status = 0
            comm.close()
            del op
            gc.collect()
            os._exit(status)
        op.wait()
        _, status = os.waitpid(child, 0)
        comm.barrier()
        return status


def test_fork(master: hawser.Master) -> None:
    peers = [PeerProcess(forks, master.address) for _ in range(2)]
    assert [peer.result() for peer in peers] == [0, 0]


@pytest.mark.parametrize("script", ["open_at_exit.py", "busy_at_exit.py"])
def test_exit_in_the_middle(master: hawser.Master, script: str) -> None:
    """A script that ends with communicators open, or with daemon threads in calls, ends quietly."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), master.address],
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if " hawser notice: " not in line] == []
