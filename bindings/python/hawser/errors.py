"""Exceptions, one for each kind of result of the library.

The text of each is the library's sentence: what happened, who and where, what to do. docs/errors.md has a table of all.
"""

from __future__ import annotations

__all__ = [
    "Closed",
    "Expelled",
    "HawserError",
    "InternalError",
    "InvalidArgument",
    "InvalidUsage",
    "MasterRestarted",
    "MasterUnreachable",
    "Mismatch",
    "PeerLost",
    "Refused",
    "SystemFailure",
    "Timeout",
    "TooFewPeers",
]


class HawserError(Exception):
    """The result of a call that did not succeed. The base class of all others."""

    code: int = 13
    """The number of the result in hawser.h."""
    can_retry: bool = False
    """True: the run goes on, inputs are intact, and the same call may be made again at once. Bound the retries."""
    must_reconnect: bool = False
    """True: this peer is out of the run. Communicator.connect joins it again as a newcomer."""
    done: list[bool] | None = None
    """After Communicator.all_reduce_many: which tensors have their results."""
    incomplete: bool = False
    """After SharedState.sync: some tensors are partly overwritten."""


class InvalidArgument(HawserError, ValueError):
    """An argument is unusable. Nothing was done."""

    code = 1


class InvalidUsage(HawserError):
    """The call does not fit the state of the object or a call under way. Nothing was done."""

    code = 2


class TooFewPeers(HawserError):
    """This peer is alone in its group. Wait for others (`Communicator.wait`), then call `update_topology`."""

    code = 3


class PeerLost(HawserError):
    """A member was lost. Inputs are intact; call again with the rest."""

    code = 4
    can_retry = True


class Mismatch(HawserError):
    """Members called different things; the sentence says who called what. Inputs are intact.

    Also raised by SharedState.load: the file holds other tensors.
    """

    code = 5
    can_retry = True


class Timeout(HawserError, TimeoutError):
    """A time-out passed. Inputs are intact. The sentence names whom the call waited for."""

    code = 6
    can_retry = True


class MasterUnreachable(HawserError):
    """The master could not be reached in time. This peer is out of the run: connect again."""

    code = 7
    must_reconnect = True


class Expelled(HawserError):
    """The master removed this peer (for example after silence). Connect again to join as a newcomer."""

    code = 8
    must_reconnect = True


class Refused(HawserError):
    """The master refused this peer, or a file is no checkpoint. The sentence says why."""

    code = 9


class MasterRestarted(HawserError):
    """The master was restarted; the members resumed. Inputs are intact; call again."""

    code = 10
    can_retry = True


class SystemFailure(HawserError, OSError):
    """The operating system refused something: a port in use, no memory, no file descriptors, no such file."""

    code = 11


class Closed(HawserError):
    """The object is closed, or was while the call waited."""

    code = 12


class InternalError(HawserError):
    """A bug in Hawser. Please report it with the sentence."""

    code = 13


_BY_CODE: dict[int, type[HawserError]] = {kind.code: kind for kind in HawserError.__subclasses__()}


def from_result(code: int, sentence: str) -> HawserError:
    """The exception of a result. Used by the extension module."""
    return _BY_CODE.get(code, InternalError)(sentence)
