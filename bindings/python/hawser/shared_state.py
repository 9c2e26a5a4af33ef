"""Named tensors that all members hold with the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING

from hawser import _core
from hawser._core import SyncInfo, SyncStrategy
from hawser.errors import InvalidUsage
from hawser.state_views import StateTensors, flattened, state_tensors
from hawser.tensors import Tensor, wait_for_streams

if TYPE_CHECKING:
    from hawser.communicator import Communicator

__all__ = ["Progress", "SharedState"]

Progress = Callable[[int, int], object]
"""Called with (bytes done, bytes in all) by the thread that waits, a few times a second."""


class SharedState:
    """Named tensors (weights, optimiser state) that `sync` brings to the same bytes on all members.

    The tensors stay yours, and this object keeps them alive. They are read and written only during its calls, and read
    while it is offered. All members make it from the same names, types and counts. On devices the work on torch's
    current streams comes first, and calls block for it.

    Args:
        tensors: name -> writable tensor, in any order, or a `state_dict()`: values may be such mappings again, whose
            names are joined by dots. Up to 65536; names of 1 to 255 bytes. No two share memory, except wholly (tied
            weights), which are one. Also bool, complex, float8, channels_last and a DTensor's local part: the group
            knows these by names with a mark behind (`mask:bool`), so that members must do alike.
        allow_content_inequality: names whose content may differ between members of one revision.
        revision: the revision to begin with.

    Raises InvalidArgument, TypeError. Two calls at the same time on one state raise InvalidUsage.
    """

    def __init__(
        self,
        tensors: StateTensors,
        *,
        allow_content_inequality: Collection[str] = (),
        revision: int = 0,
    ) -> None:
        self._given = flattened(tensors)
        unknown = set(allow_content_inequality) - set(self._given)
        if unknown:
            raise KeyError(f"no such tensors: {', '.join(sorted(unknown))}")
        self._names, views = state_tensors(self._given)
        may_differ = {self._names[name] for name in allow_content_inequality}
        self._handle = _core.StateHandle(list(views), list(views.values()), [name in may_differ for name in views])
        if revision:
            self.revision = revision

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The tensors by name, those of nested mappings with their names joined by dots."""
        return MappingProxyType(self._given)

    @property
    def revision(self) -> int:
        """Counts your versions of the content.

        Add one each time that all members have changed the content in the same way (an optimiser step), before the next
        `sync`. `sync` sets it to the elected revision.
        """
        return self._handle.revision()

    @revision.setter
    def revision(self, revision: int) -> None:
        self._handle.set_revision(revision)

    def sync(
        self,
        comm: Communicator,
        *,
        strategy: SyncStrategy = SyncStrategy.ENFORCE_POPULAR,
        tag: int = 0,
        compress: bool = False,
        only_marked: bool = False,
        keep_old_bytes: bool = False,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> SyncInfo:
        """Brings the state of all members of the group to the same bytes and revision. All members call it.

        The highest revision is elected. Of several contents at that revision, the one that most members hold. Members
        that lack parts of it fetch them from all holders. A loss meanwhile does not end the call. If nothing differs,
        it costs one reading of the tensors and one small collective. Success means that all members hold equal bytes.

        Args:
            strategy: whether this member offers and takes content.
            tag: tag of its collectives. The same on all members.
            compress: compress what this member sends, without loss, where that pays.
            only_marked: read again only tensors that `mark_changed` has named since the last call.
            keep_old_bytes: keep the old content, in as much memory, and put it back on an error.
            threads: threads for reading the tensors. 0: one for each core.
            progress: called with the bytes that have come and the bytes in all. If it raises, `sync` raises that at its
            end.

        After an error the tensors are as they were, unless content was being fetched. Then the error has `incomplete`,
        and the state is incomplete until a later `sync` or `mark_changed()`. Blocks as a collective does, and while
        content moves. After KeyboardInterrupt the call goes on. The tensors belong to the library until the
        communicator is closed.

        Raises Mismatch (other tensors, a revision out of turn, another call), TooFewPeers, Timeout,
        MasterUnreachable, Expelled, InvalidUsage, SystemFailure, Closed.
        """
        wait_for_streams(self._given.values())
        return self._handle.sync(
            comm._handle, strategy, tag, compress, only_marked, keep_old_bytes, threads, progress
        )

    def mark_changed(self, name: str | None = None) -> None:
        """Says that you have written to a tensor. None: to all, and the state counts as complete from then on.

        Needed only with `only_marked`, or after a sync that left the state incomplete. Raises InvalidArgument.
        """
        self._handle.mark_changed(None if name is None else self._names.get(name, name))

    def digest(self) -> str:
        """Reads all tensors that may not differ. Equal digests (32 hexadecimal digits) mean equal content."""
        wait_for_streams(self._given.values())
        return self._handle.digest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes tensors and revision to a safetensors file, completely or not at all. Blocks as long as the disk
        takes.

        Raises InvalidUsage (incomplete), SystemFailure.
        """
        wait_for_streams(self._given.values())
        self._handle.save(os.fspath(path))

    def load(self, path: str | os.PathLike[str]) -> int:
        """Reads what `save` wrote, and sets and returns the revision. The file is checked before any tensor is changed.

        Raises Refused (damaged, or another format), Mismatch (other tensors), SystemFailure (not there). The tensors
        are as they were then.
        """
        wait_for_streams(self._given.values())
        return self._handle.load(os.fspath(path))

    def offer(self, comm: Communicator) -> None:
        """Lets newcomers fetch this state while this member trains (`Communicator.connect(prefetch=...)`).

        Call it after a successful `sync`. The tensors must not be written to until `withdraw`, or the next call that
        changes the state. Does not block. Raises InvalidUsage.
        """
        self._handle.offer(comm._handle)

    def withdraw(self) -> None:
        """Ends the offer. When this returns, nobody reads the tensors. No error if there is no offer."""
        self._handle.withdraw()

    def close(self) -> None:
        """Releases the tensors. Raises InvalidUsage while another call uses the state. A second call does nothing."""
        self._handle.close()

    def __enter__(self) -> SharedState:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except InvalidUsage:
            # A sync that Ctrl-C has left goes on until the communicator is closed, which lets go of this then.
            if kind is None:
                raise
