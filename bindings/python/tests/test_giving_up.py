"""Calls that a member gives up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from peers import run_threads

import hawser


@pytest.mark.parametrize("cancels", [False, True])
def test_a_call_that_one_gives_up_ends_for_all(master: hawser.Master, cancels: bool) -> None:
    def body(comm: hawser.Communicator) -> None:
        tensor = np.full(1000, float(comm.rank))
        if comm.rank == 2:  # and calls nothing
            before = comm.epoch
            comm.send(np.zeros(1), 0)
            comm.wait(epoch=before, timeout_ms=60_000)
        elif comm.rank == 1 and not cancels:
            comm.receive(np.zeros(1), 0)
            with pytest.raises(hawser.Timeout, match="gave up the all-reduce .* which was its bound; not called by"):
                comm.all_reduce(tensor, timeout_ms=50)
        else:
            comm.receive(np.zeros(1), 2 if comm.rank == 0 else 0)
            op = comm.all_reduce_async(tensor)
            if comm.rank == 0:
                comm.send(np.zeros(1), 1)  # it has called
            else:
                op.cancel()
            with pytest.raises(hawser.Timeout, match="cancelled the" if cancels else "gave up the") as raised:
                op.wait()
            assert raised.value.can_retry and op.test()
        assert (tensor == comm.rank).all()
        comm.all_reduce(tensor, timeout_ms=60_000)
        assert (tensor == 3).all()

    run_threads(master.address, 3, body)


def test_every_collective_has_a_bound(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        if comm.rank == 0:
            one, both = np.zeros(2), np.zeros(4)
            calls: list[Callable[[], object]] = [
                lambda: comm.barrier(timeout_ms=10),
                lambda: comm.broadcast(one, 0, timeout_ms=10),
                lambda: comm.all_gather(one, both, timeout_ms=10),
                lambda: comm.reduce_scatter(both, one, timeout_ms=10),
            ]
            for call in calls:
                with pytest.raises(hawser.Timeout, match="which was its bound"):
                    call()
        comm.send(np.ones(1), 1) if comm.rank == 0 else comm.receive(np.ones(1), 0)
        comm.barrier()  # or else one may leave before the other knows that its message has come

    run_threads(master.address, 2, body)
