"""Hawser: fault-tolerant collectives among peers that join, leave and die, over ordinary TCP.

    import hawser, numpy
    with hawser.Communicator("10.0.0.1:48500", secret_file="run.secret") as comm:
        comm.connect()
        gradients = numpy.ones(1 << 20, numpy.float32)
        info = comm.all_reduce(gradients, op=hawser.ReduceOp.AVG)   # in place

Blocking calls let other threads run, and Ctrl-C ends them within a fraction of a second. Times are milliseconds where
a name ends in _ms and microseconds in _us, sizes are bytes, counts elements. docs/python.md has the rest.
"""

from hawser import _extension as _extension  # first: it says why if the extension cannot be loaded
from hawser import _core
from hawser._core import (
    CommInfo,
    DataType,
    KeyInfo,
    ManyInfo,
    Member,
    OptimizeInfo,
    Plan,
    PrefetchInfo,
    Quantization,
    QuantizationScheme,
    QuantizedType,
    ReduceInfo,
    ReduceOp,
    Residual,
    Role,
    SyncInfo,
    SyncSource,
    SyncStrategy,
)
from hawser.communicator import AsyncOp, Communicator, Met
from hawser.errors import (
    Closed,
    Expelled,
    HawserError,
    InternalError,
    InvalidArgument,
    InvalidUsage,
    MasterRestarted,
    MasterUnreachable,
    Mismatch,
    PeerLost,
    Refused,
    SystemFailure,
    Timeout,
    TooFewPeers,
)
from hawser.keys import admit, ban, drain, issue_key, key_info, keygen, kick, unban
from hawser.logs import LogLevel, log_to_logging, log_to_stderr, set_log_level
from hawser.master import Master
from hawser.shared_state import SharedState
from hawser.tensors import Tensor

__version__: str = _core.version()

__all__ = [
    "AsyncOp",
    "Closed",
    "CommInfo",
    "Communicator",
    "DataType",
    "Expelled",
    "HawserError",
    "InternalError",
    "InvalidArgument",
    "InvalidUsage",
    "KeyInfo",
    "LogLevel",
    "ManyInfo",
    "Master",
    "MasterRestarted",
    "MasterUnreachable",
    "Member",
    "Met",
    "Mismatch",
    "OptimizeInfo",
    "PeerLost",
    "Plan",
    "PrefetchInfo",
    "Quantization",
    "QuantizationScheme",
    "QuantizedType",
    "ReduceInfo",
    "ReduceOp",
    "Refused",
    "Residual",
    "Role",
    "SharedState",
    "SyncInfo",
    "SyncSource",
    "SyncStrategy",
    "SystemFailure",
    "Tensor",
    "Timeout",
    "TooFewPeers",
    "admit",
    "ban",
    "drain",
    "issue_key",
    "key_info",
    "keygen",
    "kick",
    "log_to_logging",
    "log_to_stderr",
    "set_log_level",
    "unban",
]
