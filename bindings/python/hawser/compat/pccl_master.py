"""The master of `hawser.compat.pccl`."""

from __future__ import annotations

import logging

import hawser
from hawser.compat.pccl_types import PCCLError, Result, result_of
from hawser.errors import HawserError

__all__ = ["MasterNode", "checked_address"]

_log = logging.getLogger("hawser.compat.pccl")


def checked_address(address: str) -> str:
    """The address, if it has a host and a port. Raises ValueError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{address!r} is no address; give HOST:PORT or [IPV6]:PORT")
    return address


class MasterNode:
    """A master in this process.

    As in PCCL the end of the object blocks until `interrupt` was called, if it runs: a program may end with `run()`.
    Ctrl-C ends that, too.

    Args:
        listen_address: "HOST:PORT" or "[IPV6]:PORT". 0.0.0.0 and [::] mean all interfaces; without a key, all loopback
            addresses. Port 0 takes any free port.
    """

    def __init__(self, listen_address: str) -> None:
        self._listen = checked_address(listen_address)
        self._master: hawser.Master | None = None

    @property
    def address(self) -> str:
        """Where it listens, with the real port. Not in PCCL. Raises PCCLError (it does not run)."""
        return self._running("address").address

    def run(self) -> None:
        """Binds the port and serves in threads of the library. One run per object. Raises PCCLError."""
        if self._master is not None:
            raise PCCLError(Result.INVALID_USAGE, "pcclRunMaster", "the master has run already; make another one")
        host, _, port = self._listen.rpartition(":")
        try:
            self._master = hawser.Master(f":{port}" if host in ("0.0.0.0", "[::]") else self._listen)
        except HawserError as error:
            result = Result.INVALID_USAGE if isinstance(error, hawser.SystemFailure) else result_of(error)
            raise PCCLError(result, "pcclRunMaster", str(error)) from error

    def interrupt(self) -> None:
        """Ends it within a second. Peers keep their view and dial again. Raises PCCLError (it was never run)."""
        self._running("pcclInterruptMaster").close()

    def _running(self, call: str) -> hawser.Master:
        if self._master is None:
            raise PCCLError(Result.INVALID_USAGE, call, "the master was not run; call run first")
        return self._master

    def __del__(self) -> None:
        master = getattr(self, "_master", None)
        if master is not None:
            try:
                master.wait()
            except KeyboardInterrupt:
                _log.info("interrupted: the master ends")
            finally:
                master.close()
