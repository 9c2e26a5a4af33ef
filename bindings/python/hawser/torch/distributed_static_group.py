"""The group behind a torch process group: it must not change, so whatever changes it ends it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator, HawserError, Master, ReduceInfo
from hawser.errors import Closed, InvalidArgument, InvalidUsage, MasterRestarted, Mismatch, PeerLost, Timeout
from hawser.torch.distributed_rendezvous import Gathered

__all__ = ["ProcessGroupBroken", "StaticGroup", "finish_leaving"]

_LEAVE_S = 10.0
"""So long the master that lives in a rank's process waits for the others to leave, after that rank has."""


class ProcessGroupBroken(HawserError, dist.DistBackendError):  # type: ignore[misc,unused-ignore]
    """The process group cannot go on: a rank is lost, or its ranks no longer call the same. Restart the job.

    Outputs of the call are unspecified. Also a torch.distributed.DistBackendError.
    """


class StaticGroup:
    """The ranks of a process group, as long as all of them are in it. Safe to use from several threads.

    rank_at: the torch rank at each position of the view.
    """

    def __init__(self, gathered: Gathered | None) -> None:
        """None: a group of one, in which no collective is run."""
        self._gathered = gathered
        self.rank_at = gathered.rank_at if gathered else [0]
        self.size = len(self.rank_at)
        self._lock = threading.Lock()
        self._broken: ProcessGroupBroken | None = None
        self._is_closed = False
        self._expired_s: float | None = None

    @property
    def comm(self) -> Communicator:
        """Of a group of two and more."""
        assert self._gathered is not None, "a group of one has no communicator"
        return self._gathered.comm

    def peer_id_of(self, rank: int) -> int:
        assert self._gathered is not None
        return next(peer for peer, other in self._gathered.peer_ids.items() if other == rank)

    def rank_of(self, peer_id: int) -> int:
        assert self._gathered is not None
        return self._gathered.peer_ids[peer_id]

    def message_failed(self, error: HawserError) -> HawserError:
        """What a message of the group came to. A lost rank ends the group."""
        return error if isinstance(error, (Mismatch, Timeout)) else self._end(error)

    def ended_by(self, error: HawserError) -> HawserError:
        """Ends the group, as the error of a collective does; what that raises."""
        return error if isinstance(error, ProcessGroupBroken) else self._end(error)

    def check(self) -> None:
        """Raises ProcessGroupBroken if the group is not what it was: before a collective is begun."""
        self.check_alive()
        if self._gathered is None:
            return
        try:
            missing = self._missing()
        except HawserError as error:
            raise self._end(error) from error
        if missing:
            raise self._end(PeerLost("a rank was lost since the last call"))

    def run(
        self, call: Callable[[], ReduceInfo], *, is_begun: bool = False, may_repeat: Callable[[], bool] = lambda: True
    ) -> None:
        """Runs a collective to its end, once more if the master was restarted.

        Nothing in a group of one. Raises ProcessGroupBroken after any other error, and if not all ranks took part.

        Args:
            is_begun: the call only waits for it, the first time. A rank may have left after it then, as the last call
                of a program is not over everywhere at once.
            may_repeat: whether the call may be made again after a restart of the master.
        """
        while self._gathered is not None:
            if is_begun:
                self.check_alive()
            else:
                self.check()
            is_begun = False
            try:
                info = call()
            except MasterRestarted as error:
                if not may_repeat():
                    raise self._end(error) from error
                # Inputs are intact, and all ranks are told the same.
            except HawserError as error:
                raise self._end(error) from error
            else:
                if info.world_size != self.size:
                    raise self._end(PeerLost(f"{info.world_size} of {self.size} ranks took part"))
                return
        self.check_alive()

    def check_alive(self) -> None:
        """Raises ProcessGroupBroken if the group has ended."""
        with self._lock:
            if self._broken is not None:
                raise _again(self._broken)
            if self._is_closed:
                raise ProcessGroupBroken("the process group was destroyed")

    # ---------------------------------------------------------------------------------------------- its end

    def _missing(self) -> list[int]:
        assert self._gathered is not None
        there = {member.peer_id for member in self.comm.members}
        return sorted(rank for peer, rank in self._gathered.peer_ids.items() if peer not in there)

    def _end(self, error: HawserError) -> ProcessGroupBroken:
        assert self._gathered is not None
        try:
            missing = self._missing()
        except HawserError:
            missing = []  # this rank is out of the run itself, which the error says
        with self._lock:
            if self._is_closed and isinstance(error, Closed):
                return ProcessGroupBroken("the process group was destroyed")
            if self._broken is not None:
                return _again(self._broken)
            if self._expired_s is not None and isinstance(error, Closed):
                error = Timeout(f"a call has not ended within {self._expired_s:g} s on this rank")
            lost = [self._gathered.names[r] for r in missing]
            self._broken = ProcessGroupBroken(_sentence(error, self.rank_at, lost))
            self._broken.code = error.code
        if not missing:
            # Only this rank knows: the others are told by its leaving, instead of waiting for its next call.
            self.comm.close()
        return self._broken

    def expire(self, timeout_s: float) -> None:
        """A call's own bound has passed: it and all others end with ProcessGroupBroken. Does not block."""
        with self._lock:
            if self._gathered is None or self._is_closed or self._broken is not None or self._expired_s is not None:
                return
            self._expired_s = timeout_s
        self.comm.close()

    def close(self) -> None:
        """Leaves; a master in this process serves until the others have left, at most 10 s: see `finish_leaving`."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        if self._gathered is None:
            return
        if self._gathered.master is None:
            self._gathered.comm.close()
            return
        _Leaving(self._gathered.comm, self._gathered.master).start()


class _Leaving(threading.Thread):
    """Ends a master when nobody needs it any more."""

    def __init__(self, comm: Communicator, master: Master) -> None:
        super().__init__(name="hawser-leaving", daemon=True)
        self._comm = comm
        self._master = master

    def start(self) -> None:
        _leaving.append(self)
        super().start()

    def run(self) -> None:
        ends = time.monotonic() + _LEAVE_S
        try:
            while (info := self._comm.info()).group_size > 1:
                left_s = ends - time.monotonic()
                if left_s <= 0:
                    break
                self._comm.wait(epoch=info.epoch, timeout_ms=max(1, int(left_s * 1000)))
        except HawserError:
            pass  # out of the run, so there is nothing to wait for
        self._comm.close()
        self._master.close()
        _leaving.remove(self)


_leaving: list[_Leaving] = []


def finish_leaving() -> None:
    """Other ranks get the outcome of their last call before the master ends with its process. Blocks 12 s at most."""
    for leaving in list(_leaving):
        leaving.join(_LEAVE_S + 2)


def _sentence(error: HawserError, rank_at: list[int], lost: list[str]) -> str:
    text = _with_ranks_of_torch(str(error).rstrip(), rank_at)
    if text and text[-1] not in ".!?":
        text += "."
    if isinstance(error, (InvalidArgument, InvalidUsage)):
        return f"{text} The process group has ended with that, because the other ranks wait for this call."
    if isinstance(error, Timeout):
        text = f"The call timed out because its timeout passed: {text}"
    whom = f", and lost {', '.join(lost)}" if lost else ""
    return (
        f"{text} But a torch process group cannot go on: it was made of {len(rank_at)} ranks{whom}. Restart the job, "
        "or train with hawser.torch.DataParallel or DiLoCo, which go on with the rest."
    )


def _with_ranks_of_torch(text: str, rank_at: list[int]) -> str:
    """The library says a root by its position in the view, and a member by its name, which has torch's rank."""

    def of_torch(found: re.Match[str]) -> str:
        place = int(found[1])
        return f"from rank {rank_at[place]}" if place < len(rank_at) else found[0]

    return re.sub(r"\bfrom rank (\d+)\b(?! at )", of_torch, text)


def _again(broken: ProcessGroupBroken) -> ProcessGroupBroken:
    """An exception of its own for each call, as several threads may raise it."""
    copy = ProcessGroupBroken(*broken.args)
    copy.code = broken.code
    return copy
