"""The membership authority of a run, in this process."""

from __future__ import annotations

import threading
from types import TracebackType

from hawser import _core
from hawser.errors import InvalidArgument

__all__ = ["Master"]

_STRAGGLER_POLICIES = ("report", "expel")


class Master:
    """Serves the membership of one run in threads of the library, from its making until `close()`.

    In production it is better a process of its own (`hawser master`), which does little and may run anywhere.

    Args:
        listen: "ADDR:PORT", "[V6]:PORT", "HOST:PORT", or ":PORT" for all interfaces, IPv4 and IPv6 ("0.0.0.0:PORT" is
            IPv4 only); port 0 takes any free one.
        silence_ms: a member that says nothing for so long is lost. Default 5000.
        stall_ms: a member that others wait for in a collective and that makes no progress for so long is lost.
            Default 6000.
        call_wait_ms: members that have called wait so long for one that is alive and has not. Default 600000.
        recovery_ms: after a restart, how long to wait for all former members. Default 5000.
        bootstrap_ms: a fresh master collects peers for so long before it forms the first view. Default 1000.
        link_open_ms: bound for opening links to newcomers. Default 10000.
        connections_max: connections held at once. Default 4096.
        straggler_policy: what happens to a member that holds up a collective by slow links: "report" (all members
            log a warning with its name) or "expel" (it is also removed; the others get PeerLost).
        straggler_ms: for so long it must do so before that happens. Default 10000.
        straggler_ratio: slow is below this part of what a link delivered before. Default 0.25.

    Zeros mean the defaults. Raises InvalidArgument (address, policy, ratio), SystemFailure (port taken).
    """

    def __init__(
        self,
        listen: str = ":48500",
        *,
        silence_ms: int = 0,
        stall_ms: int = 0,
        call_wait_ms: int = 0,
        recovery_ms: int = 0,
        bootstrap_ms: int = 0,
        link_open_ms: int = 0,
        connections_max: int = 0,
        straggler_policy: str = "report",
        straggler_ms: int = 0,
        straggler_ratio: float = 0.0,
    ) -> None:
        if straggler_policy not in _STRAGGLER_POLICIES:
            raise InvalidArgument(
                f"there is no straggler policy {straggler_policy!r}; use one of {', '.join(_STRAGGLER_POLICIES)}"
            )
        self._closed = threading.Event()
        self._handle = _core.MasterHandle(
            listen=listen,
            silence_ms=silence_ms,
            stall_ms=stall_ms,
            call_wait_ms=call_wait_ms,
            recovery_ms=recovery_ms,
            bootstrap_ms=bootstrap_ms,
            link_open_ms=link_open_ms,
            connections_max=connections_max,
            straggler_policy=_STRAGGLER_POLICIES.index(straggler_policy),
            straggler_ms=straggler_ms,
            straggler_ratio=straggler_ratio,
        )
        self._address = self._handle.address()

    @property
    def address(self) -> str:
        """Where it listens, with the real port. For ":PORT" it is "0.0.0.0:PORT", which peers on this host can dial."""
        return self._address

    def wait(self, timeout_s: float | None = None) -> bool:
        """Blocks until another thread closes it (True), or for so long (False). Ctrl-C ends it."""
        return self._closed.wait(timeout_s)

    def close(self) -> None:
        """Stops within a second. Peers keep their view and redial. Again: does nothing."""
        self._handle.close()
        self._closed.set()

    def __enter__(self) -> Master:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<hawser.Master at {self._address}{', closed' if self._closed.is_set() else ''}>"
