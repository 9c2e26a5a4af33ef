"""The collectives of a torch process group, made of Hawser's: torch's ranks are put where they are in Hawser's view."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch  # type: ignore[import-not-found,unused-ignore]
from torch.distributed import ReduceOp as TorchOp  # type: ignore[import-not-found,unused-ignore]

from hawser import AsyncOp, HawserError, ReduceInfo, ReduceOp
from hawser.torch.distributed_messages import Messages
from hawser.torch.distributed_profiling import recorded
from hawser.torch.distributed_queue import Operation, OperationQueue, QueuedWork, overlap
from hawser.torch.distributed_rendezvous import Options
from hawser.torch.distributed_sparse import GATHERED, sum_of_sparse
from hawser.torch.distributed_static_group import StaticGroup
from hawser.torch.distributed_tensors import TRAVELS, checked, is_plain, plain, wire

__all__ = ["Collectives"]

_T = TypeVar("_T")
_U = TypeVar("_U")
_TAGS = 4096
"""Far more than are under way at once: a number comes again long after all ranks are done with it."""

_Kind: Any = TorchOp.RedOpType  # torch's stubs have it empty
_OPS = {
    _Kind.SUM: ReduceOp.SUM,
    _Kind.AVG: ReduceOp.AVG,
    _Kind.PRODUCT: ReduceOp.PROD,
    _Kind.MIN: ReduceOp.MIN,
    _Kind.MAX: ReduceOp.MAX,
}
_OPS_OF_BOOL = {
    _Kind.SUM: ReduceOp.MAX,
    _Kind.MAX: ReduceOp.MAX,
    _Kind.BOR: ReduceOp.MAX,
    _Kind.PRODUCT: ReduceOp.MIN,
    _Kind.MIN: ReduceOp.MIN,
    _Kind.BAND: ReduceOp.MIN,
}
"""On bytes of 0 and 1: any, or all."""
_Fold = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_FOLDS: dict[Any, _Fold] = {
    _Kind.BAND: torch.bitwise_and,
    _Kind.BOR: torch.bitwise_or,
    _Kind.BXOR: torch.bitwise_xor,
}
"""Made here, of bytes: the library does not have them."""


def reduction(op: Any, dtype: torch.dtype) -> ReduceOp | _Fold:
    """Hawser's operation for a torch.distributed.ReduceOp, or what is applied to the bytes of all ranks.

    Raises NotImplementedError, and TypeError for types that are not numbers to Hawser.
    """
    kind = op.op
    if kind in _FOLDS and dtype in TRAVELS and not dtype.is_floating_point:
        return _FOLDS[kind]
    if dtype == torch.bool:
        if kind == _Kind.BXOR:
            return _FOLDS[kind]
        if kind not in _OPS_OF_BOOL:
            raise NotImplementedError(
                f"the hawser backend has no {kind.name} of bool tensors; MAX is any, MIN is all"
            )
        return _OPS_OF_BOOL[kind]
    if kind not in _OPS:
        raise NotImplementedError(
            f"the hawser backend reduces tensors of {dtype} with SUM, AVG, PRODUCT, MIN and MAX, not {kind.name}; "
            "bitwise operations are for integers and bool, and for factors multiply before the sum"
        )
    if dtype not in TRAVELS:
        raise TypeError(
            f"the hawser backend does not reduce tensors of {dtype}; it does float16, bfloat16, float32, float64, bool "
            "and integers of 8 to 64 bits (of complex tensors, reduce torch.view_as_real)"
        )
    return _OPS[kind]


def _same(tensors: Sequence[torch.Tensor], like: torch.Tensor, times: int) -> None:
    """Raises ValueError unless there is one of equal size and type for each rank."""
    if len(tensors) != times:
        raise ValueError(f"{len(tensors)} tensors were given for a group of {times} ranks")
    for tensor in tensors:
        if tensor.dtype != like.dtype or tensor.numel() != like.numel():
            raise ValueError(
                f"the hawser backend takes equally many elements of one type from each rank; got {tensor.numel()} of "
                f"{tensor.dtype} beside {like.numel()} of {like.dtype}. Pad them to one size."
            )


def _split(whole: torch.Tensor, part: torch.Tensor, times: int) -> None:
    if whole.dtype != part.dtype or whole.numel() != times * part.numel():
        raise ValueError(
            f"the tensor for all {times} ranks has {whole.numel()} elements of {whole.dtype}; {times} times "
            f"{part.numel()} of {part.dtype} were expected"
        )


class AllReduce(Operation):
    """Of one tensor, in place."""

    runs_ahead = True

    def __init__(
        self, group: StaticGroup, options: Options, tensor: torch.Tensor, *, op: ReduceOp, tag: int
    ) -> None:
        self.tensors = [tensor]
        self._group = group
        self._options = options
        self._op = op
        self._tag = tag
        self._plain = tensor
        self._lock = threading.Lock()
        self._first: AsyncOp | None = None  # what `begin` began; dropped where it is made again
        self._is_waited_for = False  # by a stream

    def begin(self) -> None:
        self._group.check()
        if self.tensors[0].numel() == 0 or self._group.size == 1:
            return
        self._plain = plain(self.tensors[0])
        try:
            self._first = self._group.comm.all_reduce_async(wire(self._plain), **self._arguments())
        except HawserError:
            pass  # `finish` calls again, and there the group sees to it

    def finish(self) -> None:
        if self.tensors[0].numel() == 0:
            self._group.check()
            return
        calls = itertools.chain([self._first] if self._first is not None else [], itertools.repeat(None))
        self._group.run(
            lambda: self._step(next(calls)), is_begun=self._first is not None, may_repeat=self._gives_up_first
        )
        if self._plain is not self.tensors[0]:
            self.tensors[0].copy_(self._plain)

    def stream_wait(self) -> bool:
        """Only where the library writes the result itself, and before the call is made a second time."""
        tensor = self.tensors[0]
        if tensor.device.type != "cuda" or self._options.blocking_wait:
            return False
        with self._lock:
            if self._first is None or self._plain is not tensor:
                return False
            self._first.stream_wait(torch.cuda.current_stream(tensor.device).cuda_stream)
            self._is_waited_for = True
            return True

    def _step(self, under_way: AsyncOp | None) -> ReduceInfo:
        if under_way is not None:
            return under_way.wait()
        return self._group.comm.all_reduce(wire(self._plain), **self._arguments())

    def _gives_up_first(self) -> bool:
        """A stream that has waited for the first call has gone on: then the tensor is no more what it was."""
        with self._lock:
            self._first = None
            return not self._is_waited_for

    def _arguments(self) -> dict[str, Any]:
        is_quantizable = self._plain.is_floating_point() and self._op in (ReduceOp.SUM, ReduceOp.AVG)
        return {
            "op": self._op,
            "tag": self._tag,
            "plan": self._options.plan,
            "quantization": self._options.quantization if is_quantizable else None,
            "compress": self._options.compress,
        }


@dataclass
class _Call(Operation):
    """Any other collective: a function that blocks until it has ended."""

    function: Callable[[], None]
    tensors: Sequence[torch.Tensor]

    def finish(self) -> None:
        self.function()


class Collectives:
    """Submits collectives of one group to its queue; all ranks in the same order. Ranks are torch's.

    Nothing here blocks. Wrong arguments raise ValueError, TypeError or NotImplementedError at once.
    """

    def __init__(
        self, group: StaticGroup, options: Options, queue: OperationQueue, messages: Messages, rank: int
    ) -> None:
        self._group = group
        self._options = options
        self._queue = queue
        self._rank = rank
        self._messages = messages
        self._is_in_order = group.rank_at == list(range(group.size))
        self._count = itertools.count()

    def all_reduce(
        self, tensors: Sequence[torch.Tensor], op: Any, *, timeout_s: float | None = None
    ) -> QueuedWork:
        """Each of the tensors in place; together they are one call. Sparse ones: one of them, and SUM."""
        if len(tensors) == 1 and tensors[0].layout == torch.sparse_coo:
            return self._all_reduce_sparse(tensors[0], op, timeout_s)
        flat = [checked(tensor) for tensor in tensors]
        kinds = [reduction(op, tensor.dtype) for tensor in flat]
        record = recorded("all_reduce", tensors)
        if not flat:
            return self._queue.submit(_Call(self._group.check, []), [], record=record)
        # An error of one ends the group, so the last of them is a success only if all are.
        operations = [self._reduced_in_place(tensor, kind) for tensor, kind in zip(flat, kinds)]
        for operation in operations[:-1]:
            self._queue.submit(operation, list(tensors), timeout_s=timeout_s)
        return self._queue.submit(operations[-1], list(tensors), record=record, timeout_s=timeout_s)

    def reduce(
        self, tensor: torch.Tensor, op: Any, root: int, rank: int, *, timeout_s: float | None = None
    ) -> QueuedWork:
        """An all-reduce whose result only the root keeps."""
        self._check_root(root)
        mine = checked(tensor) if rank == root else checked(tensor).clone()
        operation = self._reduced_in_place(mine, reduction(op, mine.dtype))
        return self._queue.submit(operation, [tensor], record=recorded("reduce", [tensor]), timeout_s=timeout_s)

    def broadcast(
        self, tensors: Sequence[torch.Tensor], root: int, *, timeout_s: float | None = None
    ) -> QueuedWork:
        self._check_root(root)
        flat = [checked(tensor) for tensor in tensors]
        tags = [self._tag() for _ in flat]

        def run() -> None:
            for tensor, tag in zip(flat, tags):
                self._broadcast(tensor, root, tag)

        return self._submit("broadcast", tensors, run, flat, list(tensors), timeout_s)

    def all_gather(
        self,
        outputs: Sequence[Sequence[torch.Tensor]],
        inputs: Sequence[torch.Tensor],
        result: object,
        *,
        timeout_s: float | None = None,
    ) -> QueuedWork:
        """outputs: for each input, a tensor for each rank."""
        pairs = [([checked(part) for part in parts], checked(mine)) for parts, mine in _paired(outputs, inputs)]
        for parts, mine in pairs:
            _same(parts, mine, self._group.size)
        tags = [self._tag() for _ in pairs]

        def run() -> None:
            for (parts, mine), tag in zip(pairs, tags):
                gathered = self._gathered(mine, tag)
                for rank, part in enumerate(parts):
                    part.copy_(gathered[rank].view(part.shape))

        used = [each for parts, mine in pairs for each in (*parts, mine)]
        return self._submit("all_gather", inputs, run, used, result, timeout_s)

    def all_gather_single(
        self, outputs: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor], *, timeout_s: float | None = None
    ) -> QueuedWork:
        """outputs: for each input, a tensor that takes those of all ranks one after the other."""
        pairs = [(checked(whole), checked(mine)) for whole, mine in _paired(outputs, inputs)]
        for whole, mine in pairs:
            _split(whole, mine, self._group.size)
        tags = [self._tag() for _ in pairs]

        def run() -> None:
            for (whole, mine), tag in zip(pairs, tags):
                is_direct = self._is_in_order and is_plain(whole)
                gathered = self._gathered(mine, tag, whole.view(-1) if is_direct else None)
                if not is_direct:
                    whole.copy_(torch.cat(gathered).view(whole.shape))

        used = [each for pair in pairs for each in pair]
        return self._submit("all_gather_into_tensor", inputs, run, used, list(outputs), timeout_s)

    def gather(
        self,
        outputs: Sequence[torch.Tensor] | None,
        mine: torch.Tensor,
        root: int,
        *,
        timeout_s: float | None = None,
    ) -> QueuedWork:
        """outputs: at the root. Each other rank sends its tensor there."""
        self._check_root(root)
        mine = checked(mine)
        parts = None if outputs is None else [checked(part) for part in outputs]
        if parts is not None:
            _same(parts, mine, self._group.size)

        def run() -> None:
            self._messages.gather(parts, mine, root)

        result = [] if outputs is None else list(outputs)
        return self._submit("gather", [mine], run, [mine, *(parts or [])], result, timeout_s)

    def scatter(
        self,
        output: torch.Tensor,
        inputs: Sequence[torch.Tensor] | None,
        root: int,
        *,
        timeout_s: float | None = None,
    ) -> QueuedWork:
        """inputs: at the root, which sends each other rank its tensor."""
        self._check_root(root)
        mine = checked(output)
        parts = None if inputs is None else [checked(part) for part in inputs]
        if parts is not None:
            _same(parts, mine, self._group.size)

        def run() -> None:
            self._messages.scatter(mine, parts, root)

        return self._submit("scatter", inputs or [], run, [mine, *(parts or [])], [output], timeout_s)

    def all_to_all(
        self,
        outputs: Sequence[torch.Tensor],
        inputs: Sequence[torch.Tensor],
        *,
        title: str = "all_to_all",
        timeout_s: float | None = None,
    ) -> QueuedWork:
        """One tensor for each rank, of any sizes: those of outputs[r] here and of inputs[this rank] there are equal."""
        came, sent = [checked(part) for part in outputs], [checked(part) for part in inputs]
        for name, parts in (("outputs", came), ("inputs", sent)):
            if len(parts) != self._group.size:
                raise ValueError(f"{len(parts)} {name} were given for a group of {self._group.size} ranks")
        own = self._rank
        if came[own].dtype != sent[own].dtype or came[own].numel() != sent[own].numel():
            raise ValueError(
                f"rank {own} sends itself {sent[own].numel()} elements of {sent[own].dtype}, and takes "
                f"{came[own].numel()} of {came[own].dtype}"
            )

        def run() -> None:
            self._messages.all_to_all(came, sent)

        return self._submit(title, inputs, run, [*came, *sent], list(outputs), timeout_s)

    def all_to_all_single(
        self,
        output: torch.Tensor,
        input: torch.Tensor,
        output_splits: list[int],
        input_splits: list[int],
        *,
        timeout_s: float | None = None,
    ) -> QueuedWork:
        """Parts of one tensor, along its first dimension. No splits: equal ones."""
        came = _parts(checked(output), output_splits, self._group.size, "output")
        sent = _parts(checked(input), input_splits, self._group.size, "input")
        return self.all_to_all(came, sent, title="all_to_all_single", timeout_s=timeout_s)

    def reduce_scatter(
        self,
        outputs: Sequence[torch.Tensor],
        inputs: Sequence[Sequence[torch.Tensor]],
        op: Any,
        *,
        timeout_s: float | None = None,
    ) -> QueuedWork:
        """inputs: for each output, a tensor for each rank."""
        pairs = [(checked(mine), [checked(part) for part in parts]) for mine, parts in _paired(outputs, inputs)]
        for mine, parts in pairs:
            _same(parts, mine, self._group.size)
        calls = [(mine, parts, reduction(op, mine.dtype), self._tag()) for mine, parts in pairs]

        def run() -> None:
            for mine, parts, kind, tag in calls:
                self._reduce_scatter(mine, self._in_view_order(parts), kind, tag)

        used = [each for mine, parts in pairs for each in (mine, *parts)]
        given = [part for parts in inputs for part in parts]
        return self._submit("reduce_scatter", given, run, used, list(outputs), timeout_s)

    def reduce_scatter_single(
        self,
        outputs: Sequence[torch.Tensor],
        inputs: Sequence[torch.Tensor],
        op: Any,
        *,
        timeout_s: float | None = None,
    ) -> QueuedWork:
        """inputs: for each output, a tensor with the parts of all ranks one after the other."""
        pairs = [(checked(mine), checked(whole)) for mine, whole in _paired(outputs, inputs)]
        for mine, whole in pairs:
            _split(whole, mine, self._group.size)
        calls = [(mine, whole, reduction(op, mine.dtype), self._tag()) for mine, whole in pairs]

        def run() -> None:
            for mine, whole, kind, tag in calls:
                if not (self._is_in_order and is_plain(whole)):
                    whole = self._in_view_order(whole.reshape(self._group.size, -1).unbind())
                self._reduce_scatter(mine, whole, kind, tag)

        used = [each for pair in pairs for each in pair]
        return self._submit("reduce_scatter_tensor", inputs, run, used, list(outputs), timeout_s)

    def barrier(self, *, timeout_s: float | None = None) -> QueuedWork:
        tag = self._tag()

        def run() -> None:
            self._group.run(lambda: self._group.comm.barrier(tag=tag))

        return self._submit("barrier", [], run, [], [], timeout_s)

    def nothing(self) -> QueuedWork:
        """Ends when all calls before it have ended."""
        return self._queue.submit(_Call(self._group.check, []), [])

    def _reduced_in_place(self, tensor: torch.Tensor, kind: ReduceOp | _Fold) -> Operation:
        tag = self._tag()
        if isinstance(kind, ReduceOp):
            return AllReduce(self._group, self._options, tensor, op=kind, tag=tag)
        fold = kind

        def run() -> None:
            folded = functools.reduce(fold, [_bytes(part) for part in self._gathered(tensor, tag)])
            tensor.copy_(folded.view(tensor.dtype).view(tensor.shape))

        return _Call(run, [tensor])

    def _all_reduce_sparse(self, tensor: torch.Tensor, op: Any, timeout_s: float | None) -> QueuedWork:
        if op.op != _Kind.SUM:
            raise NotImplementedError(f"the hawser backend adds sparse tensors (SUM), it has no {op.op.name} of them")
        mine = tensor.detach().coalesce()
        tags = iter([self._tag() for _ in range(GATHERED)])

        def run() -> None:
            total = sum_of_sparse(mine, lambda part: self._gathered(part, next(tags)))
            with torch.no_grad():
                tensor.copy_(total)

        used = [mine.indices(), mine.values()]
        return self._submit("sparse_all_reduce", [tensor], run, used, [tensor], timeout_s)

    def _check_root(self, root: int) -> None:
        if not 0 <= root < self._group.size:
            raise ValueError(f"there is no rank {root} in this process group of {self._group.size} ranks")

    # ------------------------------------------------------------------------------ in the thread of the queue

    def _broadcast(self, tensor: torch.Tensor, root: int, tag: int) -> None:
        if tensor.numel() == 0:
            self._group.check()
            return
        sent = plain(tensor)
        place = self._group.rank_at.index(root)
        self._group.run(
            lambda: self._group.comm.broadcast(
                wire(sent), place, tag=tag, plan=self._options.plan, compress=self._options.compress
            )
        )
        if sent is not tensor:
            tensor.copy_(sent)

    def _gathered(self, mine: torch.Tensor, tag: int, receive: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Flat tensors, by torch's rank. receive: memory for all of them."""
        size = self._group.size
        if receive is None:
            receive = torch.empty(size * mine.numel(), dtype=mine.dtype, device=mine.device)
        if mine.numel() == 0:
            self._group.check()
        elif size == 1:
            self._group.check()
            receive.copy_(mine.reshape(-1))
        else:
            send, into = wire(plain(mine)), wire(receive)
            options = self._options
            self._group.run(
                lambda: self._group.comm.all_gather(send, into, tag=tag, plan=options.plan, compress=options.compress)
            )
        parts = receive.view(size, mine.numel()).unbind()
        return [parts[self._group.rank_at.index(rank)] for rank in range(size)]

    def _in_view_order(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Copies of what is for each rank, as the library wants it: one after the other."""
        return torch.cat([parts[rank].reshape(-1) for rank in self._group.rank_at])

    def _reduce_scatter(self, mine: torch.Tensor, whole: torch.Tensor, op: ReduceOp | _Fold, tag: int) -> None:
        """whole: plain, in the order of the view."""
        if mine.numel() == 0 or self._group.size == 1:
            self._group.check()
            mine.copy_(whole.view(mine.shape))
            return
        if not isinstance(op, ReduceOp):
            place, length = self._group.comm.rank, mine.numel()
            parts = [_bytes(part[place * length : (place + 1) * length]) for part in self._gathered(whole, tag)]
            mine.copy_(functools.reduce(op, parts).view(mine.dtype).view(mine.shape))
            return
        is_direct = is_plain(mine) and not overlap([mine], [whole])
        receive = mine if is_direct else torch.empty(mine.shape, dtype=mine.dtype, device=mine.device)
        options = self._options
        self._group.run(
            lambda: self._group.comm.reduce_scatter(
                wire(whole), wire(receive), op=op, tag=tag, plan=options.plan, compress=options.compress
            )
        )
        if not is_direct:
            mine.copy_(receive)

    # ------------------------------------------------------------------------------------------------ order

    def _submit(
        self,
        title: str,
        inputs: Sequence[torch.Tensor],
        run: Callable[[], None],
        tensors: Sequence[torch.Tensor],
        result: object,
        timeout_s: float | None,
    ) -> QueuedWork:
        """title, inputs: for torch's profiler. tensors: whose memory it uses."""
        operation = _Call(run, tensors)
        return self._queue.submit(operation, result, record=recorded(title, inputs), timeout_s=timeout_s)

    def _tag(self) -> int:
        """Calls have the same numbers on all ranks, as all call in the same order."""
        return next(self._count) % _TAGS


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Of a flat tensor."""
    return tensor.view(torch.uint8)


def _paired(some: Sequence[_T], others: Sequence[_U]) -> list[tuple[_T, _U]]:
    if len(some) != len(others):
        raise ValueError(f"{len(some)} outputs were given for {len(others)} inputs")
    return list(zip(some, others))


def _parts(whole: torch.Tensor, splits: list[int], times: int, name: str) -> list[torch.Tensor]:
    rows = whole.shape[0] if whole.dim() > 0 else whole.numel()
    if not splits:
        if rows % times != 0:
            raise ValueError(
                f"the {name} of all_to_all_single has {rows} rows, which {times} ranks don't divide; give split sizes"
            )
        splits = [rows // times] * times
    if len(splits) != times or sum(splits) != rows:
        raise ValueError(
            f"the {name} splits {splits} of all_to_all_single don't add up to {rows} rows for {times} ranks"
        )
    return list(torch.split(whole, splits))
