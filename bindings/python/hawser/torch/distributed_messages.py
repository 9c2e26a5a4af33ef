"""Messages between the ranks of a torch process group, and what is made of them: all-to-all, gather and scatter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
from torch._C._distributed_c10d import Work  # type: ignore[import-not-found,unused-ignore]
from torch.futures import Future  # type: ignore[import-not-found,unused-ignore]

from hawser import AsyncOp, HawserError, ReduceInfo
from hawser.errors import Timeout
from hawser.torch.distributed_profiling import CallRecord, recorded
from hawser.torch.distributed_static_group import StaticGroup
from hawser.torch.distributed_tensors import checked, plain, wire
from hawser.torch.distributed_untraced import untraced_methods

__all__ = ["MessageWork", "Messages"]

# A program's own tags are 32 bits.
_ALL_TO_ALL = 1 << 40
_GATHER = (1 << 40) + 1
_SCATTER = (1 << 40) + 2


@untraced_methods
class MessageWork(Work):  # type: ignore[misc,unused-ignore]
    """A message under way. It ends by itself; `wait` brings what was received to where it belongs."""

    def __init__(
        self, group: StaticGroup, operation: AsyncOp, tensors: list[torch.Tensor], record: CallRecord | None
    ) -> None:
        """record: ended with the operation."""
        super().__init__()
        # Torch tells calls that go on in the background by the thread in which they end.
        self._recorder: threading.Thread | None = None
        if record is not None:
            self._recorder = threading.Thread(target=_end_record, args=(record, operation), daemon=True)
            self._recorder.start()
        self._group = group
        self._operation = operation
        self._tensors = tensors
        self._lock = threading.Lock()
        self._info: ReduceInfo | None = None
        self._error: BaseException | None = None
        self._land: Callable[[], None] | None = None
        self._future: Future[Any] | None = None

    def lands(self, land: Callable[[], None]) -> None:
        """Called once, when the message is there."""
        self._land = land

    def wait(self, timeout: timedelta = timedelta(0)) -> bool:
        """Blocks until the message is received, or has been sent, or for so long if that is above zero.

        Raises ProcessGroupBroken (the other rank was lost), Timeout (it goes on), and what the message came to.
        """
        seconds = timeout.total_seconds()
        with self._lock:
            if self._info is None and self._error is None:
                self._end(None if seconds <= 0 else max(1, int(seconds * 1000)))
            if self._error is not None:
                raise self._error
        return True

    def synchronize(self) -> None:
        """As `wait`."""
        self.wait()

    def is_completed(self) -> bool:
        return self._operation.test()

    def is_success(self) -> bool:
        if not self.is_completed():
            return False
        try:
            return self.wait()
        except (HawserError, RuntimeError):
            return False

    def exception(self) -> BaseException | None:
        return self._error

    def result(self) -> list[torch.Tensor]:
        """The tensors. Blocks until the call has ended."""
        self.wait()
        return self._tensors

    def source_rank(self) -> int:
        """Of torch: who has sent it. After `wait`."""
        self.wait()
        assert self._info is not None
        return self._group.rank_of(self._info.contributors[0])

    _source_rank = source_rank

    def get_future(self) -> Future[Any]:
        """Gives the tensors, or raises RuntimeError with the sentence of the error."""
        with self._lock:
            if self._future is None:
                trigger: Future[None] = Future()
                self._future = trigger.then(lambda _: self.result())
                threading.Thread(target=self._trigger, args=(trigger,), daemon=True).start()
            return self._future

    def _trigger(self, trigger: Future[None]) -> None:
        try:
            self.wait()
        except (HawserError, RuntimeError):
            pass  # which `result` raises
        trigger.set_result(None)

    def _end(self, timeout_ms: int | None) -> None:
        try:
            info = self._operation.wait(timeout_ms)
        except HawserError as error:
            if isinstance(error, Timeout) and not self._operation.test():
                raise Timeout(f"timed out after {timeout_ms} ms: the message goes on") from error
            self._error = self._group.message_failed(error)
            return
        finally:
            if self._recorder is not None and self._operation.test():
                self._recorder.join()
        if self._land is not None:
            self._land()
            self._land = None
        self._info = info


class Messages:
    """Those of one group, whose ranks are torch's. Wrong arguments raise ValueError or TypeError at once.

    bound_ms: after so long a message that is begun now times out.
    """

    def __init__(self, group: StaticGroup, rank: int, bound_ms: Callable[[], int]) -> None:
        self._group = group
        self._rank = rank
        self._bound_ms = bound_ms

    def send(self, tensor: torch.Tensor, to: int, tag: int) -> MessageWork:
        peer_id = self._peer(to)
        source = _on_host(plain(checked(tensor)))
        self._group.check_alive()
        record = recorded("send", [tensor])
        operation = self._group.comm.send_async(wire(source), peer_id=peer_id, tag=tag, timeout_ms=self._bound_ms())
        return MessageWork(self._group, operation, [tensor], record)

    def receive(self, tensor: torch.Tensor, source: int | None, tag: int) -> MessageWork:
        """source: None for anybody."""
        peer_id = 0 if source is None else self._peer(source)
        into = checked(tensor)
        is_direct = into.device.type == "cpu" and plain(into) is into
        room = into if is_direct else torch.empty(into.shape, dtype=into.dtype, device="cpu")
        self._group.check_alive()
        record = recorded("recv" if source is not None else "recvAnySource", [tensor])
        operation = self._group.comm.receive_async(
            wire(room), peer_id=peer_id, tag=tag, timeout_ms=self._bound_ms()
        )
        work = MessageWork(self._group, operation, [tensor], record)
        if not is_direct:

            def land() -> None:
                into.copy_(room)

            work.lands(land)
        return work

    # Collectives, in the thread of the queue: they block. A message that fails ends the group, as in any of them.

    def all_to_all(self, outputs: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]) -> None:
        """outputs[r] comes from rank r, inputs[r] goes there. Empty ones do not travel."""
        works = [
            self.receive(part, rank, _ALL_TO_ALL)
            for rank, part in enumerate(outputs)
            if rank != self._rank and part.numel() > 0
        ]
        # Beginning with the next rank, so that not all send to one at first.
        for step in range(1, self._group.size):
            rank = (self._rank + step) % self._group.size
            if inputs[rank].numel() > 0:
                works.append(self.send(inputs[rank], rank, _ALL_TO_ALL))
        outputs[self._rank].copy_(inputs[self._rank].view(outputs[self._rank].shape))
        self._wait_for(works)

    def gather(self, outputs: Sequence[torch.Tensor] | None, mine: torch.Tensor, root: int) -> None:
        if outputs is None:
            self._wait_for([self.send(mine, root, _GATHER)])
            return
        works = [self.receive(part, rank, _GATHER) for rank, part in enumerate(outputs) if rank != self._rank]
        outputs[self._rank].copy_(mine.view(outputs[self._rank].shape))
        self._wait_for(works)

    def scatter(self, mine: torch.Tensor, inputs: Sequence[torch.Tensor] | None, root: int) -> None:
        if inputs is None:
            self._wait_for([self.receive(mine, root, _SCATTER)])
            return
        works = [self.send(part, rank, _SCATTER) for rank, part in enumerate(inputs) if rank != self._rank]
        mine.copy_(inputs[self._rank].view(mine.shape))
        self._wait_for(works)

    def _wait_for(self, works: Sequence[MessageWork]) -> None:
        """For all of them, also where one fails: their tensors are the library's until then."""
        failure: BaseException | None = None
        for work in works:
            try:
                work.wait()
            except (HawserError, RuntimeError) as error:
                if failure is None:
                    failure = self._group.ended_by(error) if isinstance(error, HawserError) else error
        if failure is not None:
            raise failure

    def _peer(self, rank: int) -> int:
        if rank == self._rank:
            raise ValueError(f"rank {rank} sends no message to itself; copy the tensor")
        if not 0 <= rank < self._group.size:
            raise ValueError(f"there is no rank {rank} in a group of {self._group.size} ranks")
        return self._group.peer_id_of(rank)


def _end_record(record: CallRecord, operation: AsyncOp) -> None:
    try:
        operation.wait()
    except HawserError:
        pass  # which the caller hears
    record.end()


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.device.type == "cpu" else tensor.cpu()
