"""The order in which the calls of a torch process group run, and what torch waits for.

All ranks call in the same order, and their calls end in that order. All-reduces are begun when they are called, up to
16 at once; any other collective when all before it have ended. A call whose tensor shares memory with one
under way waits for that.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]
from torch._C._distributed_c10d import Work  # type: ignore[import-not-found,unused-ignore]
from torch.futures import Future  # type: ignore[import-not-found,unused-ignore]

from hawser.errors import Timeout
from hawser.torch.distributed_profiling import CallRecord
from hawser.torch.distributed_streams import StreamOrder
from hawser.torch.distributed_untraced import untraced_methods
from hawser.torch.distributed_work_lifetime import drop_unheld, keep_while_held

__all__ = ["Operation", "OperationQueue", "QueuedWork", "WaitTimeout", "overlap"]

_AHEAD_MAX = 16


class WaitTimeout(Timeout, dist.DistBackendError):  # type: ignore[misc,unused-ignore]
    """The bound of a `wait` has passed. The call goes on. Also a torch.distributed.DistBackendError."""


class Operation(ABC):
    """A call: `begin` when it may start, then `finish` in the thread of the queue. Both may raise."""

    runs_ahead: bool = False
    """Whether it may be begun while others are under way. `begin` does not block then."""
    tensors: Sequence[torch.Tensor] = ()
    """Whose memory it uses. All are on one device."""

    def begin(self) -> None:
        """Starts it."""

    @abstractmethod
    def finish(self) -> None:
        """Blocks until it has ended."""

    def stream_wait(self) -> bool:
        """Makes the current stream of its device wait for its end, while the host goes on. False: the host must wait.

        Called by threads of the caller.
        """
        return False


@untraced_methods
class QueuedWork(Work):  # type: ignore[misc,unused-ignore]
    """What torch waits for."""

    def __init__(self, operation: Operation, result: Any) -> None:
        """result: what the future gives."""
        super().__init__()
        self._operation: Operation | None = operation
        self._device_type = operation.tensors[0].device.type if operation.tensors else "cpu"
        self._result = result
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._trigger: Future[None] | None = None
        self._future: Future[Any] | None = None

    def __del__(self) -> None:
        if not sys.is_finalizing():
            keep_while_held(self)

    def wait(self, timeout: timedelta = timedelta(0)) -> bool:
        """Waits until the call has ended, or for so long if that is above zero.

        All-reduces on CUDA: the current stream waits, and the host goes on. If the call fails then, the group's next
        call raises its error. All others, those with a bound, and those of a group with `blocking_wait`: blocks, and
        raises what the call raised, and WaitTimeout; the call goes on then.
        """
        seconds = timeout.total_seconds()
        if seconds <= 0 and self._makes_stream_wait():
            return True
        if not self._ended.wait(seconds if seconds > 0 else None):
            raise WaitTimeout(
                f"the wait timed out: the collective has not ended within {seconds:g} s. It goes on; wait again, or "
                "look at what the other ranks do."
            )
        if self._error is not None:
            raise self._error
        return True

    def synchronize(self) -> None:
        """As `wait`."""
        self.wait()

    def block_current_stream(self) -> None:
        """The current stream waits, and the host goes on. Blocks if the tensors are in CPU memory."""
        if self._makes_stream_wait():
            return
        if self._device_type == "cpu":
            self.wait()
        else:
            super().block_current_stream()  # torch's own: the stream waits for the future

    def is_completed(self) -> bool:
        return self._ended.is_set()

    def is_success(self) -> bool:
        return self._ended.is_set() and self._error is None

    def exception(self) -> BaseException | None:
        return self._error

    def result(self) -> Any:
        """The output tensors. Blocks until the call has ended."""
        self._ended.wait()
        self.wait()
        return self._result

    def get_future(self) -> Future[Any]:
        """Gives the output tensors, or raises RuntimeError with the sentence of the error."""
        with self._lock:
            if self._future is None:
                self._trigger = Future()
                # Torch's Future.set_exception is only seen by Python; what a callback raises also by C++, as DDP is.
                self._future = self._trigger.then(self._outcome)
                if self._ended.is_set():
                    self._trigger.set_result(None)
            return self._future

    def end(self, error: BaseException | None) -> None:
        """The call has ended."""
        with self._lock:
            self._error = error
            self._operation = None
            self._ended.set()
            trigger = self._trigger
        if trigger is not None:
            # Callbacks of the future may wait for later calls, so not in the queue's thread.
            threading.Thread(target=trigger.set_result, args=(None,), daemon=True).start()

    def _makes_stream_wait(self) -> bool:
        operation = self._operation  # None once it has ended
        return operation is not None and operation.stream_wait()

    def _outcome(self, _: Future[None]) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class _Entry:
    """An operation in the queue. Made by the caller's thread."""

    def __init__(
        self, operation: Operation, result: Any, record: CallRecord | None, timeout_s: float | None
    ) -> None:
        self.operation = operation
        self.work = QueuedWork(operation, result)
        self.timeout_s = timeout_s
        self.ends = None if timeout_s is None else time.monotonic() + timeout_s
        self._record = record
        self.is_begun = False
        self.error: BaseException | None = None
        self._order = StreamOrder(operation.tensors)

    def begin(self) -> None:
        self.is_begun = True
        try:
            with self._order.entered():
                self.operation.begin()
        except Exception as error:
            self.error = error

    def finish(self) -> None:
        if not self.is_begun:
            self.begin()
        if self.error is None:
            try:
                with self._order.entered():
                    self.operation.finish()
                self._order.synchronize()
            except Exception as error:
                self.error = error
        if self._record is not None:
            self._record.end()


class OperationQueue:
    """Runs operations in their order. Safe to use from several threads, although c10d wants one order of calls."""

    def __init__(self, on_late: Callable[[float], None] = lambda timeout_s: None) -> None:
        """on_late: called with a bound that has passed, in a thread of its own. It is to end what is under way."""
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._bounded = threading.Condition(lock)  # there is a call with a bound
        self._on_late = on_late
        self._watch: threading.Thread | None = None
        self._count = 0
        self._coalesced: list[QueuedWork] | None = None
        self._entries: deque[_Entry] = deque()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="hawser-process-group", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """How many operations were submitted."""
        return self._count

    def submit(
        self, operation: Operation, result: Any, *, record: CallRecord | None = None, timeout_s: float | None = None
    ) -> QueuedWork:
        """Does not block. After `close`, the operation still is called, to raise what it then raises.

        Args:
            record: ended with the operation.
            timeout_s: if it has not ended by then, `on_late` is called.
        """
        drop_unheld()
        entry = _Entry(operation, result, record, timeout_s)
        with self._changed:
            self._count += 1
            if self._coalesced is not None:
                self._coalesced[:] = [entry.work]
            is_served = not self._is_closed
            if is_served:
                self._entries.append(entry)
                self._begin_ahead()
                self._changed.notify()
                if entry.ends is not None:
                    self._watch_bounds()
        if not is_served:
            entry.finish()
            entry.work.end(entry.error)
        return entry.work

    def close(self) -> None:
        """The thread ends when all submitted operations have ended. Does not block."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            self._bounded.notify()

    def start_coalescing(self) -> None:
        """Calls from now on are one for whoever waits: see `end_coalescing`."""
        self._coalesced = []

    def end_coalescing(self) -> QueuedWork | None:
        """The last call since then, which ends last. An error of one is one of all later ones. None: there was none."""
        calls, self._coalesced = self._coalesced, None
        return calls[-1] if calls else None

    def join(self, timeout_s: float) -> None:
        """After `close`: blocks until the thread has ended, at most so long."""
        self._thread.join(timeout_s)

    def _watch_bounds(self) -> None:
        """With the lock."""
        if self._watch is None:
            self._watch = threading.Thread(target=self._serve_bounds, name="hawser-process-group-bounds", daemon=True)
            self._watch.start()
        self._bounded.notify()

    def _serve_bounds(self) -> None:
        while True:
            with self._bounded:
                while (late := self._late()) is None:
                    if self._is_closed:
                        return
                    ends = [entry.ends for entry in self._entries if entry.ends is not None]
                    self._bounded.wait(max(0.0, min(ends) - time.monotonic()) if ends else None)
                late.ends = None
            assert late.timeout_s is not None
            self._on_late(late.timeout_s)

    def _late(self) -> _Entry | None:
        now = time.monotonic()
        return next((entry for entry in self._entries if entry.ends is not None and entry.ends <= now), None)

    def _begin_ahead(self) -> None:
        """Begins what may run beside what is under way. With the lock."""
        for place, entry in enumerate(self._entries):
            if place >= _AHEAD_MAX or not entry.operation.runs_ahead:
                return
            if entry.is_begun:
                continue
            before = [self._entries[i] for i in range(place)]
            if any(overlap(entry.operation.tensors, other.operation.tensors) for other in before):
                return
            entry.begin()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._entries:
                    if self._is_closed:
                        return
                    self._changed.wait()
                entry = self._entries[0]
            entry.finish()
            with self._changed:
                self._entries.popleft()
                self._begin_ahead()
            entry.work.end(entry.error)
            drop_unheld()
            del entry  # its tensors are not kept until the next call


def overlap(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> bool:
    """Whether they share an address range; so views of one storage that only interleave do."""
    return any(a[0] < b[1] and b[0] < a[1] for a in map(_span, some) for b in map(_span, others))


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    if tensor.numel() == 0:
        return 0, 0
    last = sum((extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.stride()))
    first = int(tensor.data_ptr())
    return first, first + (last + 1) * int(tensor.element_size())
