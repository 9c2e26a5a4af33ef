"""How a member of a DiLoCo run comes in, lets others in, and lives through losses."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Literal, Union

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator, HawserError, PrefetchInfo, SharedState
from hawser.errors import InvalidArgument, InvalidUsage, MasterRestarted, Mismatch, Timeout, TooFewPeers
from hawser.torch.settings import Settings
from hawser.torch.site import Fate, Site

__all__ = ["Admission", "OnAlone"]

_log = logging.getLogger("hawser")
_TELL_EVERY_S = 60.0
"""How often a member that waits for others says so."""
_TOGETHER_EVERY_S = 5.0
"""How often members that wait together look whether they are enough."""

OnAlone = Literal["wait", "continue"]
_OUT_S = 60.0
"""So long after a rank of a site the others may learn that they are out."""
_NAMES_MAX = 256
_CROSSED_MAX = 4
"""So many calls in a row may cross other members' before it counts as a fault of the program."""


class Admission:
    """The shared state of a run and the group that holds it.

    The shared state is the tensors given, and "progress" (int64): the number of outer steps; the phase: where in its
    round the group is, 0 being the beginning, so that a newcomer knows what the others call next; the sum of all
    weights that outer steps were made with; local steps of one member, and shares, before this round. And "settings"
    (`Settings`).

    Shares number the local steps of all members in one row: those of a round follow those of the round before, and the
    member of rank r of n has each n-th from the r-th on. Rank and n are those of the last synchronisation, which all
    have in common.

    Revisions: content that all members have changed alike since the last synchronisation is one above it, however
    many changes there were (members that go on alone cannot synchronise in between).
    """

    def __init__(
        self,
        comm: Communicator,
        tensors: Mapping[str, torch.Tensor],
        *,
        on_alone: OnAlone,
        alone_timeout_s: float,
        min_members: int,
        tag: int,
        settings: Settings,
        site: Site | None = None,
    ) -> None:
        if on_alone not in ("wait", "continue"):
            raise ValueError('on_alone is "wait" or "continue"')
        if min_members < 1:
            raise ValueError("min_members must be 1 or more")
        if min_members > 1 and site is not None:
            raise ValueError("min_members is not for sites; give min_peers to Site.communicator, and on_alone")
        self.comm = comm
        self.progress = torch.zeros(5, dtype=torch.int64, device="cpu")
        self.rank, self.size = 0, 1
        """Of this member in the last synchronisation."""
        self._settings = settings
        # One that was connected before has stated nothing, and does not when it comes back either: all do alike.
        self._states_settings = not self._is_connected()
        self.state = SharedState({**tensors, "progress": self.progress, "settings": settings.tensor})
        self._on_alone = on_alone
        self._alone_timeout_s = alone_timeout_s
        self._min_members = min_members
        self.last_seen: list[str] = []
        """Those who were there when there were enough the last time."""
        self._tag = tag
        self._site = site
        self.prefetched: PrefetchInfo | None = None
        self.bytes_sent = self.bytes_received = 0  # payload of synchronisations
        self._agreed: int | None = None
        self._known: set[int] = set()
        self.names: dict[int, str] = {}
        """Of those who are or were members, by id."""
        self._is_torn = False
        self._crossed = 0

    # --------------------------------------------------------------------------------------------- progress

    @property
    def outer_steps(self) -> int:
        """So many the group has made."""
        return int(self.progress[0])

    @property
    def phase(self) -> int:
        """Where in its round the group was when it agreed."""
        return int(self.progress[1])

    @property
    def weight_sum(self) -> int:
        """Of all that the group's outer steps were made with."""
        return int(self.progress[2])

    @property
    def steps_before(self) -> int:
        """Local steps of a member before this round."""
        return int(self.progress[3])

    @property
    def shares_before(self) -> int:
        """Shares before this round."""
        return int(self.progress[4])

    def set_progress(self, outer_steps: int, phase: int, weight: int = 0, round_steps: int = 0) -> None:
        """After all members have changed the state alike: weight is what the change was made with, round_steps the
        local steps of a round that has ended. The state must be withdrawn."""
        self.progress[0] = outer_steps
        self.progress[1] = phase
        self.progress[2] += weight
        self.progress[3] += round_steps
        self.progress[4] += round_steps * self.size
        if self._agreed is not None:
            self.state.revision = self._agreed + 1
        else:
            self.state.revision += 1

    # ------------------------------------------------------------------------------------------- coming in

    def join(self) -> None:
        """Connects unless that was done, and takes over the group's state. It is not offered then.

        Alone, waits for others or goes on, as was chosen; but never with half of a state.
        """
        self.state.withdraw()
        while self.of_the_site(self._join_once()) == Fate.OUT:
            pass

    def _join_once(self) -> Fate:
        """OUT only at a site: its ranks come in together."""
        while True:
            try:
                if not self._is_connected():
                    self._connect()
                if not self._stays_alone():
                    self._sync_with_enough()
                return Fate.DONE
            except HawserError as error:
                if self.survive(error) and self._site is not None:
                    return Fate.OUT

    def admit(self) -> bool:
        """Lets in who waits, and gives newcomers the state; says whether there are any. The state is not offered then.

        Alone, waits for others or returns, as was chosen. Raises what `survive` takes, to be called again then.
        """
        self.state.withdraw()
        self.comm.update_topology()
        if self._stays_alone():
            return False
        self.note_names()
        newcomers = {member.peer_id for member in self.comm.members} - self._known
        if newcomers:
            self._sync_with_enough()
        return bool(newcomers)

    def admit_and_agree(self) -> bool:
        """Lets in who waits, synchronises and offers the state: for a group that has nothing to reduce next.

        False: this member has to come in anew. Raises what nothing mends.
        """
        fate = Fate.AGAIN
        while fate == Fate.AGAIN:
            try:
                self.state.withdraw()
                self.comm.update_topology()
                is_alone = self._stays_alone()
                if not is_alone:
                    self._sync_with_enough()
                own = Fate.DONE
            except HawserError as error:
                own = Fate.OUT if self.survive(error) else Fate.AGAIN
            fate = self.of_the_site(own)
        if fate == Fate.DONE and not is_alone:
            self.offer()
        return fate == Fate.DONE

    def agree(self) -> None:
        """Synchronises and offers the state. A member that is alone, or becomes so, goes on without."""
        while True:
            try:
                if self.comm.group_size >= 2:
                    self._sync()
                    self.offer()
                else:
                    self.rank, self.size = 0, 1
                return
            except TooFewPeers:
                self.rank, self.size = 0, 1
                return
            except HawserError as error:
                if error.must_reconnect:
                    raise
                self.survive(error)

    def offer(self) -> None:
        """Newcomers may fetch the state from now on, until it is withdrawn. Only after agreeing."""
        if self._agreed is None or self.state.revision != self._agreed:
            return
        try:
            self.state.offer(self.comm)
        except InvalidUsage:
            pass  # lost meanwhile what the synchronisation gave: the next call of the group tells

    def members(self) -> dict[int, str]:
        """The names of the members of this moment by id; empty if this member is out of the run."""
        try:
            return {member.peer_id: member.name for member in self.comm.members}
        except HawserError:
            return {}

    def note_names(self) -> None:
        """Keeps the names of the members of this moment."""
        members = self.members()
        for peer_id, name in members.items():
            self.names.pop(peer_id, None)  # the latest ones come last
            self.names[peer_id] = name
        while len(self.names) > max(_NAMES_MAX, len(members)):
            del self.names[next(iter(self.names))]

    def survive(self, error: HawserError) -> bool:
        """After an error of a call with the group: True if this member has to come in anew (`join`), False if the call
        may be made again. Raises the error if neither."""
        if error.must_reconnect and not self.comm.closed:
            self._crossed = 0
            if self._agreed is not None:
                # Below what the others have, if they have anything.
                self.state.withdraw()
                self.state.revision = self._agreed
            return True
        if isinstance(error, (Mismatch, Timeout)):
            self._crossed += 1
            if self._crossed >= _CROSSED_MAX:
                raise error
            return False
        if isinstance(error, TooFewPeers) or error.can_retry:
            return False
        raise error

    def of_the_site(self, fate: Fate, mark: int = 0) -> Fate:
        """How a call ended for all ranks of the site (`Site.worst`). If one of them is out, waits until this one is."""
        if self._site is None:
            return fate
        worst = self._site.worst(fate, mark)
        if worst == Fate.OUT and fate != Fate.OUT:
            self._wait_until_out()
        return worst

    def _wait_until_out(self) -> None:
        """The master expels the companions of who is lost; the word is on its way."""
        ends = time.monotonic() + _OUT_S
        try:
            while (left_s := ends - time.monotonic()) > 0:
                try:
                    self.comm.wait(epoch=self.comm.epoch, timeout_ms=_whole_ms(left_s))
                except Timeout:
                    pass
        except InvalidUsage:
            return
        except HawserError as error:
            if self.survive(error):
                return
            raise
        raise RuntimeError(
            f"another rank of this site is out of the run, but this one is not after {_OUT_S} s; make the communicators "
            "of all ranks with Site.communicator, whose party is lost as a whole"
        )

    def went_well(self) -> None:
        """A round came to its end: crossed calls are counted anew."""
        self._crossed = 0

    # ------------------------------------------------------------------------------------------------ alone

    @property
    def goes_on_alone(self) -> bool:
        """Rather than waiting."""
        return self._on_alone == "continue" and self._min_members == 1 and not self._is_torn

    def _stays_alone(self) -> bool:
        """Whether the group is this member and it may go on. Waits if not."""
        waiting = _Waiting(self, 2, self._alone_timeout_s)
        while self.comm.group_size < 2:
            if self.goes_on_alone:
                self.rank, self.size = 0, 1
                return True
            try:
                waiting.once(_TELL_EVERY_S)
                self.comm.update_topology()
            except (MasterRestarted, Mismatch, Timeout):
                pass
        waiting.end()
        return False

    def wait_for_enough(self) -> None:
        """Waits until there are `min_members`. All members call it, who know from a call that was committed that there
        are fewer: one's own view may differ from another's. After it all make the same call next. Raises what `survive`
        takes."""
        waiting = _Waiting(self, self._min_members, self._alone_timeout_s)
        count = 0
        while count < self._min_members:
            try:
                waiting.once(_TOGETHER_EVERY_S)
            except Timeout:
                pass
            self.comm.update_topology()
            self._stays_alone()
            if {member.peer_id for member in self.comm.members} - self._known:
                self._sync()
                count = self.size
            else:
                count = self.comm.barrier(tag=self._tag).world_size
        waiting.end()

    def _sync_with_enough(self) -> None:
        self._sync()
        if self.size < self._min_members:
            self.wait_for_enough()

    def has_enough(self, count: int) -> bool:
        """Whether so many members may go on."""
        return count >= self._min_members

    # ------------------------------------------------------------------------------------------------ steps

    def _is_connected(self) -> bool:
        try:
            self.comm.info()
        except InvalidUsage:
            return False
        except HawserError as error:
            if error.must_reconnect:
                return False
            raise
        return True

    def _connect(self) -> None:
        if self._states_settings:
            self._settings.state(self.comm)
        self.prefetched = info = self.comm.connect(prefetch=self.state)
        self._known = set()
        if info.bytes_fetched:
            self._is_torn = not info.complete

    def _sync(self) -> None:
        try:
            info = self.state.sync(self.comm, tag=self._tag)
        except Mismatch as error:
            # Content may have come in part; the state offers nothing then until a later synchronisation.
            self._is_torn = self._is_torn or "incomplete" in str(error)
            raise
        try:
            self._settings.check()
        except InvalidArgument:
            self.comm.close()
            raise
        self._agreed = info.revision
        self.rank, self.size = int(info.rank), int(info.world_size)
        self.bytes_sent += info.bytes_sent
        self.bytes_received += info.bytes_received
        self._is_torn = False
        self._known = {member.peer_id for member in self.comm.members}
        self.note_names()
        if self.has_enough(self.size) and len(self._known) == self.size:
            self.last_seen = list(self.members().values())

    def any_of_the_site(self, is_so: bool) -> bool:
        """Whether it is so at a rank of the site."""
        return is_so if self._site is None else any(each[0] for each in self._site.gather([int(is_so)]))


def _whole_ms(seconds: float) -> int:
    """At least one, and what the library's 32 bits take without meaning "for ever"."""
    return max(1, min(int(seconds * 1000), 2**32 - 2))


class _Waiting:
    """One wait for members: bounded, and told in the log when it begins, every minute, and when it is over."""

    def __init__(self, admission: Admission, needed: int, timeout_s: float) -> None:
        self._admission = admission
        self._needed = needed
        self._timeout_s = timeout_s
        self._begun = time.monotonic()
        self._told = 0

    def once(self, within_s: float) -> None:
        """Waits until somebody may join, or there are enough, for so long at most. Raises Timeout, and RuntimeError
        when all time is over."""
        comm = self._admission.comm
        passed_s = time.monotonic() - self._begun
        if passed_s >= self._timeout_s:
            raise RuntimeError(
                f"nobody else came for {self._timeout_s} s: there are {self._present()}, and {self._needed} members "
                f"are needed{self._missing()} (on_alone, min_members)"
            )
        if passed_s >= self._told * _TELL_EVERY_S:
            self._told += 1
            _log.warning(
                "at outer step %d this member waits for %d more of %d members, for %.0f s at most; there are %s%s",
                self._admission.outer_steps,
                self._needed - comm.group_size,
                self._needed,
                self._timeout_s - passed_s,
                self._present(),
                self._missing(),
            )
        within_s = min(within_s, self._timeout_s - passed_s)
        comm.wait(joiner=True, group_size=self._needed, timeout_ms=_whole_ms(within_s))

    def end(self) -> None:
        """There are enough."""
        if self._told:
            waited_s = time.monotonic() - self._begun
            _log.warning("enough members are there after %.1f s: %s", waited_s, self._present())

    def _present(self) -> str:
        return ", ".join(self._admission.members().values())

    def _missing(self) -> str:
        """Those who are lost since there were enough, for a sentence."""
        now = self._admission.members().values()
        missing = [name for name in self._admission.last_seen if name not in now]
        return f"; lost since there were enough: {', '.join(missing)}" if missing else ""
