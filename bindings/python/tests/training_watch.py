"""Processes that train with hawser.torch and tell what they hold, and a test that follows them all at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from peers import BOUND_S, PeerProcess, communicator, joined
from toy_training import Toy

import hawser
from hawser.torch import DiLoCo


def member(
    address: str, pipe: Connection, make: Callable[..., Any], number: int, world: int, options: dict[str, Any]
) -> None:
    """Trains until its pipe is closed or says so; tells its state after each outer step.

    world: the members that the run begins with; 0: joins whatever there is.
    """
    with communicator(address, min_peers=world) as comm:
        toy = Toy(number, start=number)
        optimizer = make(comm, toy, **options)
        pipe.send(("joined", optimizer.outer_steps))
        while not pipe.poll():
            toy.backward()
            if optimizer.step():
                pipe.send((optimizer.outer_steps, optimizer.digest(), comm.group_size))


def wait_for(fits: Callable[[], bool]) -> None:
    end = time.monotonic() + BOUND_S
    while not fits():
        assert time.monotonic() < end
        time.sleep(0.005)


class Watched:
    """A member process whose words are read all the time."""

    def __init__(
        self,
        address: str,
        make: Callable[..., Any],
        number: int,
        *arguments: Any,
        body: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        """body: what it runs instead of `member`, with these arguments."""
        if body is None:
            self.peer = PeerProcess(member, address, make, number, *arguments, options)
        else:
            self.peer = PeerProcess(body, address, make, number, *arguments)
        self.entered = -1
        self.digests: dict[int, str] = {}
        self.size = 0
        self.error: Any = None
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while True:
                said = self.peer.pipe.recv()
                with self._changed:
                    if said[0] == "joined":
                        self.entered = said[1]
                    elif said[0] == "error":
                        self.error = said[1]
                    elif said[0] != "result":
                        self.digests[said[0]] = said[1]
                        self.size = said[2]
                    self._changed.notify_all()
        except (EOFError, OSError):
            pass

    @property
    def step(self) -> int:
        """The last one told of."""
        return max(self.digests, default=self.entered)

    def until(self, fits: Callable[[Watched], bool]) -> None:
        end = time.monotonic() + BOUND_S
        with self._changed:
            while not fits(self):
                assert self.error is None, self.error
                left = end - time.monotonic()
                assert left > 0, f"it stays at step {self.step} of {self.size} members"
                self._changed.wait(left)

    def kill(self) -> None:
        self.peer.process.kill()


def check_churn(master: hawser.Master, make: Callable[..., Any], **options: Any) -> None:
    """Three members, of whom one is killed; a newcomer; equal bits at all of them all the time."""
    first, second, third = (Watched(master.address, make, i, 3, **options) for i in range(3))
    watched = [first, second, third]
    try:
        for each in watched:
            each.until(lambda w: w.step >= 3)
        third.kill()
        first.until(lambda w: w.size == 2)
        alone = first.step
        first.until(lambda w: w.step >= alone + 3)
        fourth = Watched(master.address, make, 7, 0, **options)
        watched.append(fourth)
        fourth.until(lambda w: w.step >= w.entered + 6 > 6)
        for each in (first, second):
            each.until(lambda w: w.step >= fourth.entered + 6)
        assert agreeing(first, second) >= 10
        assert agreeing(first, fourth) >= 5
        assert agreeing(first, third) >= 2
    finally:
        for each in watched:
            each.kill()


def agreeing(first: Watched, second: Watched) -> int:
    """How many outer steps two have told of, with equal bits."""
    both = first.digests.keys() & second.digests.keys()
    for step in sorted(both):
        assert first.digests[step] == second.digests[step], step
    return len(both)


def check_alone(master: hawser.Master, make: Callable[..., Any], on_alone: str) -> None:
    """Two members, of whom one is killed; the other waits or goes on; a newcomer."""
    first, second = (Watched(master.address, make, i, 2, on_alone=on_alone) for i in range(2))
    watched = [first, second]
    try:
        for each in watched:
            each.until(lambda w: w.step >= 3)
        second.kill()
        if on_alone == "continue":
            first.until(lambda w: w.size == 1)
            last = first.step
            first.until(lambda w: w.step >= last + 3)
        third = Watched(master.address, make, 5, 0, on_alone=on_alone)
        watched.append(third)
        third.until(lambda w: w.step >= w.entered + 6 > 6)
        first.until(lambda w: w.step >= third.entered + 6)
        assert agreeing(first, third) >= 5
        assert first.entered == 0 and third.entered >= 3
    finally:
        for each in watched:
            each.kill()


def check_comes_back(make: Callable[..., Any]) -> None:
    """Three members, of whom one is stopped until it is expelled, and goes on: it comes back by itself."""
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200, silence_ms=1500) as master:
        watched = [Watched(master.address, make, i, 3) for i in range(3)]
        first, _, third = watched
        try:
            for each in watched:
                each.until(lambda w: w.step >= 3)
            os.kill(third.peer.pid, signal.SIGSTOP)
            first.until(lambda w: w.size == 2)
            last = first.step
            first.until(lambda w: w.step >= last + 3)
            os.kill(third.peer.pid, signal.SIGCONT)
            third.until(lambda w: sum(step > last + 3 for step in w.digests) >= 6 and w.size == 3)
            first.until(lambda w: w.step >= third.step)
            assert agreeing(first, third) >= 5
        finally:
            for each in watched:
                each.kill()


def check_master_restart(make: Callable[..., Any]) -> None:
    """The master goes and another one comes at its address."""
    master = hawser.Master("127.0.0.1:0", bootstrap_ms=200)
    watched = [Watched(master.address, make, i, 2) for i in range(2)]
    first, second = watched
    try:
        for each in watched:
            each.until(lambda w: w.step >= 3)
        master.close()
        last = first.step
        master = hawser.Master(master.address, bootstrap_ms=200)
        for each in watched:
            each.until(lambda w: w.step >= last + 5)
        assert agreeing(first, second) >= last + 5
    finally:
        for each in watched:
            each.kill()
        master.close()


def lost_member(
    address: str, pipe: Connection, make: Callable[..., Any], number: int, last_sums: int, steps: int
) -> list[bytes]:
    """Number 2 adds nothing, and dies when the others wait for its part of a sum."""
    with joined(address, 3) as comm:
        toy = Toy(number)
        if number == 2:
            optimizer = make(comm, toy, weight=lambda: 0)
            begin = "reduce" if isinstance(optimizer, DiLoCo) else "start"
            done = getattr(optimizer._sums[0], begin)
            left = [last_sums]

            def die_at_the_last() -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return done()

            setattr(optimizer._sums[0], begin, die_at_the_last)
        else:
            optimizer = make(comm, toy)
        for _ in range(steps):
            toy.backward()
            optimizer.step()
        values = toy.values()
        comm.barrier()
        return values


def check_lost_in_a_reduction(
    master: hawser.Master, make: Callable[..., Any], last_sums: int, steps: int
) -> list[list[bytes]]:
    """What members 0 and 1 have trained; a third takes part in so many sums with weight 0 and dies in the next."""
    peers = [PeerProcess(lost_member, master.address, make, i, last_sums, steps) for i in range(3)]
    peers[2].process.join(BOUND_S)
    assert peers[2].process.exitcode == -signal.SIGKILL
    return [peer.result() for peer in peers[:2]]
