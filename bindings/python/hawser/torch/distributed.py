"""The backend "hawser" of torch.distributed, for tensors in CPU memory and on CUDA devices.

    import torch.distributed as dist
    import hawser.torch.distributed                          # registers it

    dist.init_process_group("hawser")                        # rank, world size and store as for any backend
    model = torch.nn.parallel.DistributedDataParallel(model)

A process group of torch has a fixed set of ranks: when one is lost, every call raises ProcessGroupBroken on all others.
What goes on with the rest is hawser.torch.DataParallel and the DiLoCo family. docs/python.md has the limits.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]
from torch._C._distributed_c10d import (  # type: ignore[import-not-found,unused-ignore]
    AllreduceOptions,
    PrefixStore,
    ReduceScatterOptions,
    Store,
)

from hawser.errors import InvalidUsage
from hawser.torch import distributed_call_forms as forms
from hawser.torch.distributed_collectives import Collectives
from hawser.torch.distributed_messages import Messages, MessageWork
from hawser.torch.distributed_monitored_barrier import monitored_barrier
from hawser.torch.distributed_other_backends import OtherBackends, asked_for
from hawser.torch.distributed_queue import OperationQueue, QueuedWork
from hawser.torch.distributed_rendezvous import Options, gather
from hawser.torch.distributed_static_group import ProcessGroupBroken, StaticGroup, finish_leaving
from hawser.torch.distributed_tensors import DEVICE_TYPES
from hawser.torch.distributed_untraced import untraced_methods

__all__ = ["HawserProcessGroup", "Options", "ProcessGroupBroken"]

_BACKEND = "hawser"
_JOIN_S = 5.0
_DEFAULT_TIMEOUT = timedelta(minutes=30)
"""Torch's own."""

Tensors = list[torch.Tensor]


_ProcessGroup: Any = dist.ProcessGroup  # its stubs lack what a Python subclass may do


_FORMER_NAMES = {
    "all_gather_single": "_allgather_base",
    "all_gather_single_coalesced": "allgather_into_tensor_coalesced",
    "all_to_all_single": "alltoall_base",
    "reduce_scatter_single": "_reduce_scatter_base",
    "reduce_scatter_single_coalesced": "reduce_scatter_tensor_coalesced",
}
"""In versions of torch before those names."""


def _by_device(method: Callable[..., Any]) -> Any:
    """Calls with tensors of a device that has another backend go there."""

    @functools.wraps(method)
    def called(self: HawserProcessGroup, *arguments: Any, **named: Any) -> Any:
        if os.getpid() != self._process:
            raise InvalidUsage(
                "this process group was made before the process forked, and lives in the parent only; start processes "
                'with the method "spawn", and let each call init_process_group'
            )
        if self._others is not None and _device_of([*arguments, *named.values()]) in self._others.devices:
            name = method.__name__
            theirs = name if hasattr(self._others.group, name) else _FORMER_NAMES[name]
            return getattr(self._others.group, theirs)(*arguments, **named)
        return method(self, *arguments, **named)

    return called


def _device_of(values: Any) -> str | None:
    """The type of the first tensor's device, or of the device that options of a barrier name."""
    for value in values:
        if isinstance(value, torch.Tensor):
            return str(value.device.type)
        if isinstance(value, (list, tuple)) and (device := _device_of(value)) is not None:
            return device
        if (device := getattr(value, "device", None)) is not None:
            return str(device.type)
    return None


@untraced_methods
class HawserProcessGroup(_ProcessGroup):  # type: ignore[misc]
    """Made by torch (`init_process_group`, `new_group`), whose names and arguments its methods have.

    Calls return at once, with a Work (`QueuedWork`); ranks are those of the group. Outputs are unspecified after an
    error. It is its own backend: torch asks `_get_backend` for it.
    """

    def __init__(
        self,
        group: StaticGroup,
        options: Options,
        rank: int,
        *,
        store: Store | None = None,
        timeout: timedelta | None = None,
        others: OtherBackends | None = None,
    ) -> None:
        """store, timeout: those of `init_process_group`. others: for devices that are not Hawser's."""
        super().__init__(rank, group.size)
        self.hawser_options = options
        self._own_rank = rank
        self._process = os.getpid()
        self._store = store
        self._timeout = timeout
        self._call_timeout_s: float | None = None  # of calls that give none; without, the master's holds
        self._others = others if others is not None and others.devices else None
        self._group_name = self._group_desc = ""
        self._group = group
        self._queue = OperationQueue(group.expire)
        self._messages = Messages(group, rank, self._message_bound)
        self._collectives = Collectives(group, options, self._queue, self._messages, rank)
        self._splits = itertools.count()
        self._monitored = itertools.count()
        _open.add((group, self._queue))

    def getBackendName(self) -> str:
        return _BACKEND

    def getGroupName(self) -> str:
        return self._group_name

    def setGroupName(self, name: str) -> None:
        self._group_name = name

    def getGroupDesc(self) -> str:
        return self._group_desc

    def setGroupDesc(self, description: str) -> None:
        self._group_desc = description

    # Each of these may be called with options or without, as torch's own groups: `distributed_call_forms`.

    @_by_device
    def allreduce(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.ALL_REDUCE.taken(arguments, named)
        return self._collectives.all_reduce(call.tensors[0], call.options.reduceOp, timeout_s=self._bound(call.options))

    @_by_device
    def allreduce_coalesced(self, tensors: Tensors, opts: Any = None) -> QueuedWork:
        opts = opts or AllreduceOptions()
        return self._collectives.all_reduce(tensors, opts.reduceOp, timeout_s=self._bound(opts))

    @_by_device
    def reduce(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.REDUCE.taken(arguments, named)
        opts = call.options
        return self._collectives.reduce(
            _only(call.tensors[0]), opts.reduceOp, opts.rootRank, self._own_rank, timeout_s=self._bound(opts)
        )

    @_by_device
    def broadcast(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.BROADCAST.taken(arguments, named)
        return self._collectives.broadcast(call.tensors[0], call.options.rootRank, timeout_s=self._bound(call.options))

    @_by_device
    def allgather(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.ALL_GATHER.taken(arguments, named)
        outputs, inputs = call.tensors
        return self._collectives.all_gather(outputs, inputs, outputs, timeout_s=self._bound(call.options))

    @_by_device
    def allgather_coalesced(self, outputs: list[Tensors], inputs: Tensors, opts: Any = None) -> QueuedWork:
        """outputs: for each rank a list like the inputs."""
        by_input = [list(parts) for parts in zip(*outputs)]
        return self._collectives.all_gather(by_input, inputs, outputs, timeout_s=self._bound(opts))

    @_by_device
    def all_gather_single(self, output: torch.Tensor, input: torch.Tensor, opts: Any = None) -> QueuedWork:
        return self._collectives.all_gather_single([output], [input], timeout_s=self._bound(opts))

    @_by_device
    def all_gather_single_coalesced(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> QueuedWork:
        return self._collectives.all_gather_single(outputs, inputs, timeout_s=self._bound(opts))

    @_by_device
    def gather(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.GATHER.taken(arguments, named)
        outputs, inputs = call.tensors
        is_root = call.options.rootRank == self._own_rank
        return self._collectives.gather(
            outputs[0] if is_root else None, _only(inputs), call.options.rootRank, timeout_s=self._bound(call.options)
        )

    @_by_device
    def scatter(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.SCATTER.taken(arguments, named)
        outputs, inputs = call.tensors
        root = call.options.rootRank
        parts = inputs[0] if root == self._own_rank else None
        return self._collectives.scatter(
            _only(outputs), parts, root, timeout_s=self._bound(call.options)
        )

    @_by_device
    def reduce_scatter(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.REDUCE_SCATTER.taken(arguments, named)
        outputs, inputs = call.tensors
        return self._collectives.reduce_scatter(
            outputs, inputs, call.options.reduceOp, timeout_s=self._bound(call.options)
        )

    @_by_device
    def reduce_scatter_single(self, output: torch.Tensor, input: torch.Tensor, opts: Any = None) -> QueuedWork:
        opts = opts or ReduceScatterOptions()
        return self._collectives.reduce_scatter_single(
            [output], [input], opts.reduceOp, timeout_s=self._bound(opts)
        )

    @_by_device
    def reduce_scatter_single_coalesced(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> QueuedWork:
        opts = opts or ReduceScatterOptions()
        return self._collectives.reduce_scatter_single(outputs, inputs, opts.reduceOp, timeout_s=self._bound(opts))

    @_by_device
    def barrier(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.BARRIER.taken(arguments, named)
        return self._collectives.barrier(timeout_s=self._bound(call.options))

    def monitored_barrier(self, timeout: timedelta | None = None, wait_all_ranks: bool = False) -> None:
        """Blocks until all ranks have called it. Rank 0 raises DistBackendError that names who has not."""
        if self._store is None:
            raise NotImplementedError("this process group was made without a store, which monitored_barrier needs")
        monitored_barrier(
            self._store,
            number=next(self._monitored),
            rank=self._own_rank,
            size=self._group.size,
            timeout=timeout if timeout is not None else self._timeout or _DEFAULT_TIMEOUT,
            wait_all_ranks=wait_all_ranks,
        )

    def _bound(self, options: Any) -> float | None:
        """How long the call may take: as its options say, or the group. None: as the master has it."""
        given: timedelta | None = getattr(options, "timeout", None)
        if given is not None and given > timedelta(0):
            return given.total_seconds()
        return self._call_timeout_s

    # Under these names they are called by former versions of torch.
    _allgather_base = all_gather_single
    allgather_into_tensor_coalesced = all_gather_single_coalesced
    _reduce_scatter_base = reduce_scatter_single
    reduce_scatter_tensor_coalesced = reduce_scatter_single_coalesced

    # ------------------------------------------------------------------------------------------------ messages

    @_by_device
    def send(self, tensors: Tensors, dstRank: int, tag: int = 0) -> MessageWork:
        return self._messages.send(_only(tensors), dstRank, tag)

    @_by_device
    def recv(self, tensors: Tensors, srcRank: int, tag: int = 0) -> MessageWork:
        return self._messages.receive(_only(tensors), srcRank, tag)

    @_by_device
    def recv_anysource(self, tensors: Tensors, tag: int = 0) -> MessageWork:
        return self._messages.receive(_only(tensors), None, tag)

    @_by_device
    def alltoall(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> QueuedWork:
        return self._collectives.all_to_all(outputs, inputs, timeout_s=self._bound(opts))

    @_by_device
    def all_to_all_single(
        self,
        output: torch.Tensor,
        input: torch.Tensor,
        output_split_sizes: list[int] | None = None,
        input_split_sizes: list[int] | None = None,
        opts: Any = None,
    ) -> QueuedWork:
        return self._collectives.all_to_all_single(
            output,
            input,
            list(output_split_sizes or []),
            list(input_split_sizes or []),
            timeout_s=self._bound(opts),
        )

    alltoall_base = all_to_all_single

    def _message_bound(self) -> int:
        """In milliseconds: that of the group."""
        seconds = self._call_timeout_s
        if seconds is None:
            seconds = (self._timeout or _DEFAULT_TIMEOUT).total_seconds()
        return max(1, min(int(seconds * 1000), 2**32 - 1))

    # ------------------------------------------------------------------------------- what torch asks of a backend

    supports_coalescing = False
    supports_time_estimate = False
    supports_shrinking = False

    @property
    def supports_splitting(self) -> bool:
        return self._others is None

    @property
    def _device_types(self) -> list[torch.device]:
        others = self._others.devices if self._others is not None else set()
        return [torch.device(name) for name in sorted({*DEVICE_TYPES, *others})]

    def _get_backend(self, device: torch.device) -> Any:
        """Itself, except for devices with another backend. Raises RuntimeError as torch does where there is none."""
        kind = torch.device(device).type
        if self._others is not None and kind in self._others.devices:
            return self._others.group._get_backend(torch.device(device))
        if kind not in DEVICE_TYPES:
            raise RuntimeError(f"No backend type associated with device type {kind}")
        return self

    @property
    def options(self) -> Options:
        return self.hawser_options

    def get_group_store(self) -> Store | None:
        return self._store

    def _get_backend_name(self) -> str:
        return _BACKEND

    def _set_sequence_number_for_group(self) -> None:
        """It begins with 0 on all ranks."""

    def _get_sequence_number_for_group(self) -> int:
        """How many calls were made. Equal on all ranks, or their calls differ."""
        return self._queue.count

    def set_timeout(self, timeout: timedelta) -> None:
        """How long calls from now on may take. The group's own timeout still holds, if it is shorter."""
        is_shorter = self._timeout is None or timeout < self._timeout
        self._call_timeout_s = timeout.total_seconds() if is_shorter else None
        if self._others is not None:
            self._others.group.set_timeout(timeout)

    _set_default_timeout = set_timeout

    def _start_coalescing(self, device: torch.device) -> None:
        if (backend := self._get_backend(device)) is not self:
            backend._start_coalescing()
        else:
            self._queue.start_coalescing()

    def _end_coalescing(self, device: torch.device) -> Any:
        if (backend := self._get_backend(device)) is not self:
            return backend._end_coalescing()
        return self._queue.end_coalescing() or self._collectives.nothing()

    def eager_connect_single_device(self, device: torch.device | None) -> None:
        """All ranks are linked already."""

    def perform_nocolor_split(self, device: torch.device) -> None:
        """A rank that is not in the new group has nothing to do."""

    def split_group(
        self,
        ranks: list[int],
        timeout: timedelta | None = None,
        opts: Any = None,
        group_name: str | None = None,
        group_desc: str | None = None,
        device_types: Any = None,
    ) -> HawserProcessGroup | None:
        """A group of some ranks of this one; None on the others. All call it, each with the ranks of its new group.

        Blocks until these ranks are linked. A group that has other backends is not split.
        """
        if self._store is None or self._others is not None:
            raise NotImplementedError("only a process group that is the hawser backend's alone is split; use new_group")
        number = next(self._splits)
        ranks = sorted(ranks)
        if self._own_rank not in ranks:
            return None
        store = PrefixStore(f"hawser/split/{number}/{'-'.join(map(str, ranks))}/", self._store)
        group = _linked(
            store,
            rank=ranks.index(self._own_rank),
            size=len(ranks),
            timeout=timeout or self._timeout or _DEFAULT_TIMEOUT,
            options=replace(opts if isinstance(opts, Options) else self.hawser_options, master=""),
            is_default=False,
        )
        group.setGroupName(group_name or f"{self._group_name}:split:{number}")
        group.setGroupDesc(group_desc or f"{self._group_desc}:split:{number}")
        return group

    # ------------------------------------------------------------------------------------------------- its end

    def shutdown(self) -> None:
        """Leaves the group; `destroy_process_group` calls it. Calls under way end with ProcessGroupBroken."""
        _shut_down(self._group, self._queue)
        if self._others is not None:
            self._others.group.shutdown()

    def abort(self) -> None:
        """As `shutdown`."""
        self.shutdown()


def _only(tensors: Tensors) -> torch.Tensor:
    if len(tensors) != 1:
        raise ValueError(f"the hawser backend takes one tensor for each rank here, not {len(tensors)}")
    return tensors[0]


def _create(given: Any, options: Options | None) -> HawserProcessGroup:
    """Torch's creator: given is its _DistributedBackendOptions. Blocks until all ranks are linked."""
    if options is None:
        options = _default_options()
    if not isinstance(options, Options):
        raise TypeError(f"pg_options of the hawser backend is a hawser.torch.distributed.Options, not {options!r}")
    asked = asked_for(sys._getframe(1))
    return _linked(
        given.store,
        rank=given.group_rank,
        size=given.group_size,
        timeout=given.timeout,
        options=options,
        is_default=not given.global_ranks_in_group,
        others=OtherBackends(asked, given, _BACKEND),
    )


def _linked(
    store: Store,
    *,
    rank: int,
    size: int,
    timeout: timedelta,
    options: Options,
    is_default: bool,
    others: OtherBackends | None = None,
) -> HawserProcessGroup:
    """Blocks until all ranks are linked."""
    gathered = None
    if size > 1:
        gathered = gather(store, rank=rank, size=size, timeout=timeout, options=options, is_default=is_default)
    return HawserProcessGroup(
        StaticGroup(gathered), options, rank, store=store, timeout=timeout, others=others
    )


def _default_options() -> Options:
    """Those of the default group if there is one, apart from its master."""
    default = dist.group.WORLD if dist.is_initialized() else None
    if isinstance(default, HawserProcessGroup):
        return replace(default.hawser_options, master="")
    return Options()


_open: set[tuple[StaticGroup, OperationQueue]] = set()


def _shut_down(group: StaticGroup, queue: OperationQueue) -> None:
    _open.discard((group, queue))
    group.close()
    queue.close()


@atexit.register
def _close_all() -> None:
    """Threads end before the interpreter does."""
    queues = [queue for _, queue in _open]
    for group, queue in list(_open):
        _shut_down(group, queue)
    finish_leaving()
    for queue in queues:
        queue.join(_JOIN_S)


dist.Backend.register_backend(_BACKEND, _create, extended_api=True, devices=DEVICE_TYPES)
