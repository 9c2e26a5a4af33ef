"""Log lines of the library: to stderr by default, or to Python's logging."""

from __future__ import annotations

import atexit
import logging
import threading

from hawser import _core
from hawser._core import LogLevel, set_log_level

__all__ = ["LogLevel", "log_to_logging", "log_to_stderr", "set_log_level"]

# Between INFO and WARNING, as syslog has it.
_NOTICE = 25
if logging.getLevelName(_NOTICE) == f"Level {_NOTICE}":
    logging.addLevelName(_NOTICE, "NOTICE")

_LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.NOTICE: _NOTICE,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}
_lock = threading.Lock()
_thread: threading.Thread | None = None


def _pass_on(logger: logging.Logger) -> None:
    while lines := _core.log_take():
        for level, text in lines:
            logger.log(_LEVELS.get(level, logging.INFO), "%s", text)


def log_to_logging(logger: logging.Logger | None = None) -> None:
    """Passes log lines to a logger (default: "hawser") from now on.

    Lines of level NOTICE come as level 25, named "NOTICE". A thread of its own takes them, so the library never waits
    for Python. Up to 10 000 lines wait for it; lines beyond that are lost and counted. Choose the lines with
    `set_log_level`: a line that the library does not make costs less than one that the logger drops.
    """
    global _thread
    log_to_stderr()
    with _lock:
        _core.log_open()
        _thread = threading.Thread(
            target=_pass_on, args=(logger or logging.getLogger("hawser"),), name="hawser-log", daemon=True
        )
        _thread.start()


def log_to_stderr() -> None:
    """Sends log lines to stderr again, as by default. Returns when all earlier lines were passed on."""
    global _thread
    with _lock:
        if _thread is None:
            return
        _core.log_close()
        _thread.join()
        _thread = None


atexit.register(log_to_stderr)
