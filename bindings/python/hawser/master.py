"""A master in this process: it knows who is a member of a run."""

from __future__ import annotations

import os
import threading
from types import TracebackType

from hawser import _core
from hawser.errors import InvalidArgument
from hawser.keys import Path

__all__ = ["Master"]

_STRAGGLER_POLICIES = ("report", "expel")


class Master:
    """A master for one run, in threads of the library. It serves from its construction until `close()`.

    In production a process of its own is better (`hawser master`). It does little and may run anywhere.

    Args:
        listen: "ADDR:PORT", "[V6]:PORT", "HOST:PORT", or ":PORT" for all interfaces, IPv4 and IPv6 ("0.0.0.0:PORT" is
            IPv4 only); port 0 takes any free one.
        silence_ms: a member that is silent for so long is lost. Default 5000.
        stall_ms: a member is lost if others wait for it in a collective and report no progress for so long. Default
            6000.
        call_wait_ms: how long members that have called wait for one that is alive and has not. Default 600000.
        recovery_ms: how long a member may be away after its connection to the master broke. After a restart: how long
            the master waits for all former members. Default 5000.
        bootstrap_ms: how long a fresh master collects peers before it forms the first view. Default 1000.
        link_open_ms: a newcomer without links to all members after so long is refused. Default 10000.
        connections_max: connections that it holds at once. Default 4096.
        straggler_policy: what happens to a member whose slow links hold up a collective. "report": all members log a
            warning with its name. "expel": it is also removed, and the others get PeerLost.
        straggler_ms: how long a member must hold up a collective before that happens. Default 10000.
        straggler_ratio: a link is slow below this part of what it delivered before. Default 0.25.
        secret_file: the run's secret (`hawser.keygen`), or an issued key of an operator. All connections are then under
            TLS 1.3, and only holders of keys of the run are heard. Default: what HAWSER_SECRET_FILE names. Without a
            key the master listens on loopback only.
        rules_file: whom the master admits. Changes by operators are written to it. It need not be there.
        insecure: without a key, listen to other machines all the same, in plain, to whoever comes.
        masters: all masters of the run, "HOST:PORT,HOST:PORT", as its peers have them. One of them serves the run; the
            others stand by, and one takes it over when more than half of its members come to it.
        standby: take runs over, and begin none. One master of the list has False.
        lease: "etcd://HOST:PORT,HOST:PORT/NAME", or "etcds://..." for TLS: whoever of the masters holds this lease
            serves the run, also with fewer than half of its members.
        lease_ca: for etcds://, a file with the certificates that sign that of the etcd. Default: the system's.
        lease_cert: the certificate that this master shows to the etcd.
        lease_key: the key of that certificate.

    Zeros mean the defaults. Raises InvalidArgument (address, policy, ratio, file, an address of other machines
    without a key), SystemFailure (port taken).
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
        secret_file: Path = "",
        rules_file: Path = "",
        insecure: bool = False,
        masters: str = "",
        standby: bool = False,
        lease: str = "",
        lease_ca: Path = "",
        lease_cert: Path = "",
        lease_key: Path = "",
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
            secret_file=os.fspath(secret_file),
            rules_file=os.fspath(rules_file),
            insecure=insecure,
            masters=masters,
            standby=standby,
            lease=lease,
            lease_ca=os.fspath(lease_ca),
            lease_cert=os.fspath(lease_cert),
            lease_key=os.fspath(lease_key),
        )
        self._address = self._handle.address()

    @property
    def address(self) -> str:
        """Where it listens, with the real port. For ":PORT" it is "0.0.0.0:PORT", which peers on this host can dial."""
        return self._address

    def wait(self, timeout_s: float | None = None) -> bool:
        """Blocks until another thread closes the master (True), or for timeout_s (False). Ctrl-C ends it."""
        return self._closed.wait(timeout_s)

    def close(self) -> None:
        """Stops within a second. Peers keep their view and redial. A second call does nothing."""
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
