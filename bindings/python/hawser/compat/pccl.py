"""The Python package of PCCL 1.0 on Hawser, for programs that were written for it. New programs use `hawser`.

    import hawser.compat.pccl as pccl

Names, numbers and signatures are those of PCCL 1.0. docs/pccl.md has a table of calls and a table of what differs.
Keys and access are those of `hawser`: HAWSER_SECRET_FILE names the run's key. Without it masters and peers use loopback
only, unless HAWSER_INSECURE is 1.

Blocking calls let other threads run, and Ctrl-C ends them, as those of `hawser.Communicator`.
"""

from __future__ import annotations

import array
import logging
import socket
import threading
import time
from collections import deque
from typing import Any

import hawser
from hawser.compat.pccl_master import MasterNode, checked_address
from hawser.compat.pccl_types import (
    Attribute,
    DataType,
    DeviceType,
    DistributionHint,
    PCCLError,
    QuantizationAlgorithm,
    QuantizationOptions,
    ReduceDescriptor,
    ReduceInfo,
    ReduceOp,
    ReduceOpDescriptor,
    ReduceOperandDescriptor,
    Result,
    SharedStateSyncInfo,
    SharedStateSyncStrategy,
    TensorInfo,
    op_of,
    quantization_of,
    result_of,
)
from hawser.errors import HawserError, MasterRestarted, PeerLost, TooFewPeers

__version__ = hawser.__version__

__all__ = [
    "AsyncReduceHandle",
    "Attribute",
    "Communicator",
    "DataType",
    "DeviceType",
    "DistributionHint",
    "MasterNode",
    "PCCLError",
    "QuantizationAlgorithm",
    "QuantizationOptions",
    "ReduceDescriptor",
    "ReduceInfo",
    "ReduceOp",
    "ReduceOpDescriptor",
    "ReduceOperandDescriptor",
    "Result",
    "SharedState",
    "SharedStateSyncInfo",
    "SharedStateSyncStrategy",
    "TensorInfo",
    "cuda",
]

# Tags that callers cannot have: those of libpccl_compat, so that members in C and Python go together.
_SYNC_TAG = 2**64 - 1
_SENT_BYTES_TAG = 2**64 - 2
_PENDING_TAG = 2**64 - 3
_TAKEN_TAG_FIRST = 2**64 - 4

_REACH_S = 5.0
_log = logging.getLogger("hawser.compat.pccl")


class cuda:
    """What PCCL has as `pccl.cuda`."""

    @staticmethod
    def is_available() -> bool:
        """Always True: the CUDA driver is found at run time."""
        return True


def _is_reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _REACH_S):
            return True
    except OSError:
        return False


class SharedState:
    """Tensors that `Communicator.sync_shared_state` brings to the same bytes on all members, and their revision."""

    def __init__(self, tensor_infos: list[TensorInfo]) -> None:
        if not tensor_infos:
            raise ValueError("a shared state has at least one tensor")
        try:
            self._state = hawser.SharedState(
                {info.name: info.tensor() for info in tensor_infos},
                allow_content_inequality=[info.name for info in tensor_infos if info.allow_content_inequality],
            )
        except HawserError as error:
            raise PCCLError(result_of(error), "SharedState", str(error)) from error

    @property
    def revision(self) -> int:
        """Counts the caller's versions of the content. A synchronisation sets it to the elected one."""
        return self._state.revision

    @revision.setter
    def revision(self, value: int) -> None:
        self._state.revision = value

    def push_revision(self) -> None:
        """Adds one to the revision."""
        self._state.revision += 1


class AsyncReduceHandle:
    """An all-reduce in the background. Its tensors belong to the library until `wait` has returned."""

    def __init__(self, communicator: Communicator, tag: int, operation: hawser.AsyncOp) -> None:
        self._communicator = communicator
        self._tag = tag
        self._operation = operation
        self._info: tuple[bool, int, ReduceInfo] | None = None

    def wait(self) -> tuple[bool, int, ReduceInfo]:
        """Blocks until it has ended. Gives whether it succeeded, its Result's number, and what it did.

        May be called again. The group's size says whether a repetition makes sense.
        """
        if self._info is None:
            try:
                info = self._operation.wait()
                self._info = (True, Result.SUCCESS.value, _told(info))
            except HawserError as error:
                _log.warning("an all-reduce did not succeed: %s", error)
                self._info = (False, result_of(error).value, ReduceInfo(0, 0, 0))
            self._communicator._forget(self._tag, self)
        return self._info


def _told(info: hawser.ReduceInfo) -> ReduceInfo:
    return ReduceInfo(info.world_size, info.bytes_sent, info.bytes_received)


def _address_of(tensor: Any) -> int:
    """Where a tensor is. Raises ValueError (neither a torch tensor nor a NumPy array)."""
    if hasattr(tensor, "data_ptr"):
        return int(tensor.data_ptr())
    if hasattr(tensor, "ctypes"):
        return int(tensor.ctypes.data)
    raise ValueError(f"{type(tensor).__name__} is neither a torch tensor nor a NumPy array")


class Communicator:
    """A peer. `connect` joins the run; the end of the object leaves it.

    Args:
        address: "HOST:PORT" or "[IPV6]:PORT" of the master.
        peer_group: peers of equal group reduce together.
        p2p_connection_pool_size: ignored; Hawser decides by measurement how many connections a link has.
    """

    def __init__(self, address: str, peer_group: int = 0, p2p_connection_pool_size: int = 0) -> None:
        self._address = checked_address(address)
        self._group = peer_group
        self._comm: hawser.Communicator | None = None
        self._lock = threading.Lock()
        self._flights: dict[int, AsyncReduceHandle] = {}

    def close(self) -> None:
        """Leaves the run, as the end of the object does. Blocks a second at most. Not in PCCL."""
        comm = getattr(self, "_comm", None)
        if comm is not None:
            comm.close()

    def __del__(self) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------ membership

    def connect(self, n_attempts: int = 5) -> None:
        """Joins the run. If nothing listens at the address, it tries again after a second, n_attempts times in all.

        Then it waits for up to an hour until all members call `update_topology`, which admits this peer. The first
        peers of a run are admitted together, one second after the master's start. Raises PCCLError.
        """
        for attempt in range(1, n_attempts + 1):
            try:
                self._connect_once()
                return
            except PCCLError as error:
                if attempt == n_attempts or error.result is not Result.MASTER_CONNECTION_FAILED:
                    raise
                _log.error("attempt %d of %d to connect failed: %s", attempt, n_attempts, error)
                time.sleep(1)

    def _connect_once(self) -> None:
        if self._comm is None and not _is_reachable(self._address):
            sentence = f"nobody accepts connections at {self._address}; start the master first"
            raise PCCLError(Result.MASTER_CONNECTION_FAILED, "pcclConnect", sentence)
        try:
            comm = self._comm or hawser.Communicator(self._address, group=self._group)
            comm.connect()
            self._comm = comm
        except HawserError as error:
            raise self._failed("pcclConnect", error, Result.MASTER_CONNECTION_FAILED) from error

    def get_attribute(self, attribute: Attribute) -> int:
        """A number of the view as this peer knows it. Does not block. Raises PCCLError."""
        comm = self._connected("pcclGetAttribute")
        try:
            info = comm.info()
        except HawserError as error:
            raise self._failed("pcclGetAttribute", error) from error
        return {
            Attribute.GLOBAL_WORLD_SIZE: info.world_size,
            Attribute.LOCAL_WORLD_SIZE: info.group_size,
            Attribute.NUM_DISTINCT_PEER_GROUPS: info.group_count,
            Attribute.LARGEST_PEER_GROUP_WORLD_SIZE: info.largest_group_size,
        }[attribute]

    def update_topology(self) -> None:
        """Lets newcomers join. All members of all groups call it. Raises PCCLError."""
        comm = self._without_flights("pcclUpdateTopology")
        while True:
            try:
                return comm.update_topology()
            except (PeerLost, MasterRestarted):
                continue
            except hawser.InvalidUsage as error:  # It is connected, so a collective of another thread is under way.
                raise PCCLError(Result.PENDING_ASYNC_OPS, "pcclUpdateTopology", str(error)) from error
            except HawserError as error:
                raise self._failed("pcclUpdateTopology", error, Result.UPDATE_TOPOLOGY_FAILED) from error

    def are_peers_pending(self) -> bool:
        """Whether any member knows of newcomers that `update_topology` can admit. All members of the group call it.

        All get the same answer. Blocks as an all-reduce does; all-reduces may be in flight. Raises PCCLError.
        """
        comm = self._connected("pcclArePeersPending")
        while True:
            vote = array.array("B", [0])
            try:
                vote[0] = comm.pending
                comm.all_reduce(vote, op=hawser.ReduceOp.MAX, tag=_PENDING_TAG)
            except (PeerLost, MasterRestarted):
                continue
            except TooFewPeers:
                pass  # Alone: its own answer.
            except HawserError as error:
                raise self._failed("pcclArePeersPending", error) from error
            return vote[0] != 0

    def optimize_topology(self) -> None:
        """Measures links that no traffic has shown yet. All members of the group call it. Raises PCCLError."""
        comm = self._without_flights("pcclOptimizeTopology")
        try:
            comm.optimize_topology()
        except TooFewPeers as error:
            if self.get_attribute(Attribute.GLOBAL_WORLD_SIZE) < 2:
                raise PCCLError(Result.INVALID_USAGE, "pcclOptimizeTopology", str(error)) from error
        except HawserError as error:
            raise self._failed("pcclOptimizeTopology", error, Result.TOPOLOGY_OPTIMIZATION_FAILED) from error

    # ---------------------------------------------------------------------------------------- shared state

    def sync_shared_state(
        self,
        shared_state: SharedState,
        strategy: SharedStateSyncStrategy = SharedStateSyncStrategy.ENFORCE_POPULAR,
    ) -> SharedStateSyncInfo:
        """Brings the state of all members of the group to the same bytes and revision. All members call it.

        Raises PCCLError.
        """
        comm = self._without_flights("pcclSynchronizeSharedState")
        try:
            info = shared_state._state.sync(comm, strategy=hawser.SyncStrategy[strategy.name], tag=_SYNC_TAG)
        except HawserError as error:
            raise self._failed("pcclSynchronizeSharedState", error, Result.INVALID_USAGE) from error
        # All members know these two numbers, and so whether content has moved.
        moved = info.supporters < info.world_size
        return SharedStateSyncInfo(self._content_sent(comm, info) if moved else 0, info.bytes_fetched)

    @staticmethod
    def _content_sent(comm: hawser.Communicator, info: hawser.SyncInfo) -> int:
        """Bytes of content that the others got from here: each knows only what came to it, so all add that up."""
        got = array.array("Q", [0] * info.world_size)
        try:
            from_peer = {source.peer_id: source.bytes for source in info.sources}
            for rank, member in enumerate(comm.members[: info.world_size]):
                got[rank] = from_peer.get(member.peer_id, 0)
            comm.all_reduce(got, tag=_SENT_BYTES_TAG)
        except HawserError as error:
            _log.info("what this member sent is not known exactly: %s", error)
            return info.bytes_sent
        return got[info.rank]

    # ----------------------------------------------------------------------------------------- collectives

    def all_reduce(
        self,
        send: Any,
        recv: Any,
        *,
        op: ReduceOp,
        tag: int = 0,
        operand_descriptor: ReduceOperandDescriptor | None = None,
        quantization_options: QuantizationOptions | None = None,
    ) -> ReduceInfo:
        """Reduces a torch tensor or NumPy array over the group; every member gets the same bits.

        Args:
            send: this member's input. On any error it holds its original values.
            recv: where the result goes: the same memory or disjoint.
            tag: the same on all members. The four highest numbers are taken.

        Blocks as `hawser.Communicator.all_reduce`. Raises PCCLError.
        """
        handle = self._start("pcclAllReduce", send, recv, op, tag, operand_descriptor, quantization_options)
        try:
            info = _told(handle._operation.wait())
        except HawserError as error:
            raise self._failed("pcclAllReduce", error) from error
        finally:
            self._forget(tag, handle)
        return info

    def all_reduce_async(
        self,
        send: Any,
        recv: Any,
        *,
        op: ReduceOp,
        tag: int = 0,
        operand_descriptor: ReduceOperandDescriptor | None = None,
        quantization_options: QuantizationOptions | None = None,
    ) -> AsyncReduceHandle:
        """The same in the background. The tag stays in use until the handle was waited for. Raises PCCLError."""
        return self._start("pcclAllReduceAsync", send, recv, op, tag, operand_descriptor, quantization_options)

    def all_reduce_multiple_with_retry(
        self, descriptors: list[ReduceOpDescriptor], *, max_in_flight: int = 4
    ) -> ReduceInfo:
        """Reduces a list, the same on all members, several at once and in its order.

        After a loss it repeats what was not done, until all is done or this peer is alone. The result has the group's
        size at the end, and the payload of what was done. Raises PCCLError.
        """
        call = "pcclAllReduceMultipleWithRetry"
        comm = self._connected(call)
        if not descriptors or max_in_flight < 1:
            raise PCCLError(Result.INVALID_ARGUMENT, call, "the list and max_in_flight must not be empty")
        todo = deque(range(len(descriptors)))
        flying: deque[tuple[int, hawser.AsyncOp]] = deque()
        sent = received = 0
        while todo or flying:
            lost: HawserError | None = None
            try:
                while todo and len(flying) < max_in_flight:
                    flying.append((todo[0], self._launch(call, comm, descriptors[todo[0]])))
                    todo.popleft()
            except PCCLError:
                for _, operation in flying:
                    _end_of(operation)
                raise
            # The oldest; all of them after a loss.
            while flying and (lost is not None or len(flying) >= max_in_flight or not todo):
                index, operation = flying.popleft()
                ended = _end_of(operation)
                if isinstance(ended, HawserError):
                    todo.append(index)
                    lost = lost or ended
                else:
                    sent += ended.bytes_sent
                    received += ended.bytes_received
            if lost is not None:
                if not isinstance(lost, (PeerLost, MasterRestarted)):
                    result = Result.TOO_FEW_PEERS if isinstance(lost, TooFewPeers) else result_of(lost)
                    raise PCCLError(result, call, str(lost)) from lost
                # All members know the same ones as done, and begin with the first of the others.
                todo = deque(sorted(todo))
        return ReduceInfo(self.get_attribute(Attribute.LOCAL_WORLD_SIZE), sent, received)

    # ---------------------------------------------------------------------------------------------- inside

    def _failed(self, call: str, error: HawserError, retry: Result = Result.RANK_CONNECTION_LOST) -> PCCLError:
        return PCCLError(result_of(error, retry), call, str(error))

    def _connected(self, call: str) -> hawser.Communicator:
        if self._comm is None:
            raise PCCLError(Result.INVALID_USAGE, call, "the communicator is not connected; call connect first")
        return self._comm

    def _without_flights(self, call: str) -> hawser.Communicator:
        comm = self._connected(call)
        if self._flights:
            raise PCCLError(Result.PENDING_ASYNC_OPS, call, "an all-reduce was not waited for; call wait on its handle")
        return comm

    def _forget(self, tag: int, handle: AsyncReduceHandle) -> None:
        with self._lock:
            if self._flights.get(tag) is handle:
                del self._flights[tag]

    def _launch(self, call: str, comm: hawser.Communicator, descriptor: ReduceOpDescriptor) -> hawser.AsyncOp:
        send, receive = descriptor.tensors()
        inner = descriptor.reduce_descriptor
        return self._begin(call, comm, send, receive, inner.op, inner.tag, inner.quantization_options)

    def _begin(
        self,
        call: str,
        comm: hawser.Communicator,
        send: Any,
        receive: Any,
        op: ReduceOp,
        tag: int,
        quantization_options: QuantizationOptions | None,
    ) -> hawser.AsyncOp:
        if not 0 <= tag < _TAKEN_TAG_FIRST:
            raise PCCLError(Result.INVALID_ARGUMENT, call, "tags are 0 or more; the four highest are taken")
        quantization = quantization_of(quantization_options, call)
        if self.get_attribute(Attribute.LOCAL_WORLD_SIZE) < 2:
            sentence = "this peer is alone in its group; call update_topology until others have joined"
            raise PCCLError(Result.TOO_FEW_PEERS, call, sentence)
        try:
            return comm.all_reduce_async(send, receive, op=op_of(op), tag=tag, quantization=quantization)
        except hawser.InvalidUsage as error:  # Programs for PCCL know a tag in flight as a wrong argument.
            raise PCCLError(Result.INVALID_ARGUMENT, call, str(error)) from error
        except HawserError as error:
            raise self._failed(call, error) from error

    def _start(
        self,
        call: str,
        send: Any,
        recv: Any,
        op: ReduceOp,
        tag: int,
        operand_descriptor: ReduceOperandDescriptor | None,
        quantization_options: QuantizationOptions | None,
    ) -> AsyncReduceHandle:
        comm = self._connected(call)
        same = _address_of(send) == _address_of(recv)
        if operand_descriptor is not None and operand_descriptor.datatype is not DataType._of_name(str(send.dtype)):
            sentence = f"the descriptor says {operand_descriptor.datatype.name}, and the tensor is of {send.dtype}"
            raise PCCLError(Result.INVALID_ARGUMENT, call, sentence)
        with self._lock:
            if tag in self._flights:
                raise PCCLError(Result.INVALID_ARGUMENT, call, f"tag {tag} is in flight; wait for it or use another")
            operation = self._begin(call, comm, send, None if same else recv, op, tag, quantization_options)
            handle = self._flights[tag] = AsyncReduceHandle(self, tag, operation)
        return handle


def _end_of(operation: hawser.AsyncOp) -> hawser.ReduceInfo | HawserError:
    try:
        return operation.wait()
    except HawserError as error:
        return error
