from __future__ import annotations

import threading

import numpy as np
import pytest
from peers import joined, run_threads

import hawser


def test_links_within_one_host_are_not_probed(master: hawser.Master) -> None:
    told: list[tuple[int, int]] = []

    def body(comm: hawser.Communicator) -> hawser.OptimizeInfo:
        info = comm.optimize_topology(all_pairs=True, progress=lambda done, total: told.append((done, total)))
        tensor = np.ones(1000, np.float32)
        comm.all_reduce(tensor)
        assert tensor[0] == 3
        return info

    for rank, info in enumerate(run_threads(master.address, 3, body)):
        assert info.world_size == 3 and info.rank == rank
        assert info.pairs == info.measured == info.lower_bounds == info.silent == 0
        assert info.bytes_sent == 0 and info.total_us > 0
    assert told == []


def test_a_lone_member_has_nobody_to_probe(master: hawser.Master) -> None:
    with joined(master.address, 1) as comm, pytest.raises(hawser.TooFewPeers):
        comm.optimize_topology()


def test_it_is_no_other_call(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        with pytest.raises(hawser.Mismatch, match="optimize-topology"):
            if comm.rank == 0:
                comm.optimize_topology()
            else:
                comm.all_reduce(np.ones(8, np.float32))

    run_threads(master.address, 2, body)


def test_absurd_bounds_are_refused(master: hawser.Master) -> None:
    with joined(master.address, 1) as comm:
        with pytest.raises(hawser.InvalidArgument, match="bytes"):
            comm.optimize_topology(probe_bytes_max=1)
        with pytest.raises(hawser.InvalidArgument, match="10000 ms"):
            comm.optimize_topology(probe_ms_max=11_000)


def test_closing_ends_it(master: hawser.Master) -> None:
    called = threading.Event()

    def body(comm: hawser.Communicator) -> None:
        if comm.rank != 0:
            called.wait(30)
            return

        ended: list[str] = []

        def call() -> None:
            # Of two calls at once the second is refused, whichever that is: the first one is under way then.
            try:
                comm.optimize_topology()
            except hawser.InvalidUsage:
                comm.close()
            except hawser.Closed:
                ended.append("closed")

        callers = [threading.Thread(target=call) for _ in range(2)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(30)
        assert ended == ["closed"]
        called.set()

    run_threads(master.address, 2, body)
