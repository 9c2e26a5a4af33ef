from __future__ import annotations

import threading

import numpy as np
import pytest
from peers import communicator, joined, run_threads

import hawser


def test_a_wait_needs_a_wish(master: hawser.Master) -> None:
    with joined(master.address, 1) as comm:
        with pytest.raises(hawser.InvalidArgument):
            comm.wait()
        assert comm.wait(group_size=1) == hawser.Met(joiner=False, group_size=True, epoch=False)
        with pytest.raises(hawser.Timeout, match="nobody wanted to join"):
            comm.wait(joiner=True, timeout_ms=20)
    with pytest.raises(hawser.Closed):
        comm.wait(joiner=True)


def test_a_loop_that_waits_for_a_joiner(master: hawser.Master) -> None:
    sums: list[float] = []

    def newcomer() -> None:
        with communicator(master.address) as comm:
            comm.connect()
            # As in the loop of the README: it begins with this call, whatever the members do.
            comm.update_topology()
            ones = np.ones(10, np.float32)
            comm.all_reduce(ones)
            sums.append(float(ones[0]))

    with joined(master.address, 1) as comm:
        thread = threading.Thread(target=newcomer)
        thread.start()
        assert comm.wait(joiner=True).joiner
        comm.update_topology()
        together = comm.epoch
        ones = np.ones(10, np.float32)
        comm.all_reduce(ones)
        thread.join(30)
        assert sums == [2.0] and ones[0] == 2
        # It left: the view is another one by now or soon.
        assert comm.wait(epoch=together).epoch
        assert comm.group_size == 1


def test_the_first_ones_wait_for_each_other() -> None:
    with hawser.Master("127.0.0.1:0", bootstrap_ms=1) as master:
        sizes: list[int] = []

        def peer() -> None:
            with communicator(master.address, min_peers=3) as comm:
                comm.connect()
                sizes.append(comm.group_size)
                comm.barrier()

        threads = [threading.Thread(target=peer) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sizes == [3, 3, 3]


def test_terms_differ(master: hawser.Master) -> None:
    with communicator(master.address) as member:
        member.set_term("outer_lr", "0.7")
        member.set_term("taken back", "1")
        member.set_term("taken back", None)
        member.connect()
        with pytest.raises(hawser.InvalidUsage):
            member.set_term("late", "1")
        with communicator(master.address) as other, pytest.raises(hawser.Refused, match="outer_lr.*0.[79].*0.[79]"):
            other.set_term("outer_lr", "0.9")
            other.connect()
        assert member.group_size == 1 and not member.pending


def test_a_mismatch_in_a_row_says_so(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        for times in range(1, 4):
            said = f"This has happened {times} times" if times > 1 else "called different things"
            with pytest.raises(hawser.Mismatch, match=said):
                comm.all_reduce(np.ones(10 + comm.rank, np.float32))

    run_threads(master.address, 2, body)
