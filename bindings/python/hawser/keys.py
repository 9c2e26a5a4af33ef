"""Key files, and what an operator has a run's master do. docs/security.md says who needs which key.

The same as the commands `hawser keygen`, `kick`, `ban`, `unban`, `admit` and `drain`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Union

from hawser import _core
from hawser._core import KeyInfo, Role
from hawser.choices import role_of
from hawser.errors import InvalidArgument

__all__ = ["Path", "admit", "ban", "drain", "issue_key", "key_info", "keygen", "kick", "unban"]

Path = Union[str, "os.PathLike[str]"]


def keygen(file: Path) -> None:
    """Makes a new file with the secret of a new run. Only its owner may read it.

    Whoever has it can do everything in the run. Copy it to the machines that you trust. Raises InvalidArgument (there
    is a file of that name, which is left as it is), SystemFailure.
    """
    _core.keygen(os.fspath(file))


def issue_key(
    file: Path,
    *,
    secret_file: Path,
    name: str,
    role: Role | str = Role.MEMBER,
    days: int = 30,
    groups: Sequence[int] = (),
) -> KeyInfo:
    """Makes a new file with a key for one who takes part in a run without its secret; returns what the key is.

    Args:
        file: to write, for its owner alone. It must not exist.
        secret_file: the run's secret, which signs the key.
        name: of whom the key is for: 1 to 63 bytes.
        role: what its holder may be: a `Role` or its name ("member", "newcomer", "reader", "observer", "operator").
        days: for which the key is valid, 1 to 3650.
        groups: that its holder may be in, in ascending order. Empty: all.

    Raises InvalidArgument (an argument, a file that exists already, a secret_file that is none or that others may
    read), SystemFailure.
    """
    if days < 1:
        raise InvalidArgument(f"a key is valid for 1 to 3650 days, not for {days}")
    path = os.fspath(file)
    _core.issue_key(
        file=path,
        secret_file=os.fspath(secret_file),
        name=name,
        role=role_of(role),
        days=days,
        groups=list(groups),
    )
    return _core.key_info(path)


def key_info(file: Path) -> KeyInfo:
    """What a key file holds. Raises InvalidArgument (no key file, expired, others may read it), SystemFailure."""
    return _core.key_info(os.fspath(file))


def kick(master: str, name: str, *, secret_file: Path = "", timeout_ms: int = 0) -> str:
    """Removes all peers of a name from the run of the master at "HOST:PORT". They may come back.

    Args:
        name: of the peers, or of the key that was issued to them.
        secret_file: the run's secret, or an operator's key. Default: what HAWSER_SECRET_FILE names.
        timeout_ms: how long to wait for the answer. Default 5000.

    Returns the master's answer. Raises InvalidArgument (address, file), MasterUnreachable, Timeout, Refused (no
    operator's key, nobody of that name).
    """
    return _operate(master, _core.OperatorVerb.KICK, name, secret_file, timeout_ms)


def ban(master: str, key: str, *, secret_file: Path = "", timeout_ms: int = 0) -> str:
    """Denies a key, 64 hexadecimal digits, from now on, and removes its peers. Otherwise as `kick`.

    `hawser status --keys` shows the keys of peers, and `key_info` that of a file.
    """
    return _operate(master, _core.OperatorVerb.BAN, key, secret_file, timeout_ms)


def unban(master: str, key: str, *, secret_file: Path = "", timeout_ms: int = 0) -> str:
    """Takes a ban back. Otherwise as `kick`."""
    return _operate(master, _core.OperatorVerb.UNBAN, key, secret_file, timeout_ms)


def admit(master: str, key: str, *, secret_file: Path = "", timeout_ms: int = 0) -> str:
    """Lets the holder of a newcomer's key be a member. Otherwise as `kick`."""
    return _operate(master, _core.OperatorVerb.ADMIT, key, secret_file, timeout_ms)


def drain(master: str, *, end: bool = False, secret_file: Path = "", timeout_ms: int = 0) -> str:
    """Lets no newcomers into the run from now on; end=True takes that back. Otherwise as `kick`."""
    verb = _core.OperatorVerb.END_DRAIN if end else _core.OperatorVerb.DRAIN
    return _operate(master, verb, "", secret_file, timeout_ms)


def _operate(master: str, verb: _core.OperatorVerb, argument: str, secret_file: Path, timeout_ms: int) -> str:
    return _core.operate(
        master=master, verb=verb, argument=argument, secret_file=os.fspath(secret_file), timeout_ms=timeout_ms
    )
