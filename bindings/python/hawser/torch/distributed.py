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
from dataclasses import replace
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]
from torch._C._distributed_c10d import (  # type: ignore[import-not-found,unused-ignore]
    AllreduceOptions,
    ReduceScatterOptions,
)

from hawser.torch import distributed_call_forms as forms
from hawser.torch.distributed_collectives import Collectives
from hawser.torch.distributed_messages import Messages, MessageWork
from hawser.torch.distributed_queue import OperationQueue, QueuedWork
from hawser.torch.distributed_rendezvous import Options, gather
from hawser.torch.distributed_static_group import ProcessGroupBroken, StaticGroup, finish_leaving
from hawser.torch.distributed_tensors import DEVICE_TYPES

__all__ = ["HawserProcessGroup", "Options", "ProcessGroupBroken"]

_BACKEND = "hawser"
_JOIN_S = 5.0

Tensors = list[torch.Tensor]


_ProcessGroup: Any = dist.ProcessGroup  # its stubs lack what a Python subclass may do


class HawserProcessGroup(_ProcessGroup):  # type: ignore[misc]
    """Made by torch (`init_process_group`, `new_group`), whose names and arguments its methods have.

    Calls return at once, with a Work (`QueuedWork`); ranks are those of the group. Outputs are unspecified after an
    error.
    """

    def __init__(self, group: StaticGroup, options: Options, rank: int) -> None:
        super().__init__(rank, group.size)
        self.hawser_options = options
        self._own_rank = rank
        self._group_name = self._group_desc = ""
        self._group = group
        self._queue = OperationQueue()
        self._collectives = Collectives(group, options, self._queue, rank)
        self._messages = Messages(group, rank)
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

    def allreduce(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.ALL_REDUCE.taken(arguments, named)
        return self._collectives.all_reduce(call.tensors[0], call.options.reduceOp)

    def allreduce_coalesced(self, tensors: Tensors, opts: Any = None) -> QueuedWork:
        return self._collectives.all_reduce(tensors, (opts or AllreduceOptions()).reduceOp)

    def reduce(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.REDUCE.taken(arguments, named)
        opts = call.options
        return self._collectives.reduce(_only(call.tensors[0]), opts.reduceOp, opts.rootRank, self._own_rank)

    def broadcast(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.BROADCAST.taken(arguments, named)
        return self._collectives.broadcast(call.tensors[0], call.options.rootRank)

    def allgather(self, *arguments: Any, **named: Any) -> QueuedWork:
        outputs, inputs = forms.ALL_GATHER.taken(arguments, named).tensors
        return self._collectives.all_gather(outputs, inputs, outputs)

    def allgather_coalesced(self, outputs: list[Tensors], inputs: Tensors, opts: Any = None) -> QueuedWork:
        """outputs: for each rank a list like the inputs."""
        by_input = [list(parts) for parts in zip(*outputs)]
        return self._collectives.all_gather(by_input, inputs, outputs)

    def all_gather_single(self, output: torch.Tensor, input: torch.Tensor, opts: Any = None) -> QueuedWork:
        return self._collectives.all_gather_single([output], [input])

    def all_gather_single_coalesced(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> QueuedWork:
        return self._collectives.all_gather_single(outputs, inputs)

    def gather(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.GATHER.taken(arguments, named)
        outputs, inputs = call.tensors
        is_root = call.options.rootRank == self._own_rank
        return self._collectives.gather(outputs[0] if is_root else None, _only(inputs), call.options.rootRank)

    def scatter(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.SCATTER.taken(arguments, named)
        outputs, inputs = call.tensors
        root = call.options.rootRank
        parts = inputs[0] if root == self._own_rank else None
        return self._collectives.scatter(_only(outputs), parts, root)

    def reduce_scatter(self, *arguments: Any, **named: Any) -> QueuedWork:
        call = forms.REDUCE_SCATTER.taken(arguments, named)
        outputs, inputs = call.tensors
        return self._collectives.reduce_scatter(outputs, inputs, call.options.reduceOp)

    def reduce_scatter_single(self, output: torch.Tensor, input: torch.Tensor, opts: Any = None) -> QueuedWork:
        return self.reduce_scatter_single_coalesced([output], [input], opts)

    def reduce_scatter_single_coalesced(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> QueuedWork:
        return self._collectives.reduce_scatter_single(outputs, inputs, (opts or ReduceScatterOptions()).reduceOp)

    def barrier(self, *arguments: Any, **named: Any) -> QueuedWork:
        forms.BARRIER.taken(arguments, named)
        return self._collectives.barrier()

    # Former versions of torch call them so.
    _allgather_base = all_gather_single
    allgather_into_tensor_coalesced = all_gather_single_coalesced
    _reduce_scatter_base = reduce_scatter_single
    reduce_scatter_tensor_coalesced = reduce_scatter_single_coalesced

    # ------------------------------------------------------------------------------------------------- messages

    def send(self, tensors: Tensors, dstRank: int, tag: int = 0) -> MessageWork:
        return self._messages.send(_only(tensors), dstRank, tag)

    def recv(self, tensors: Tensors, srcRank: int, tag: int = 0) -> MessageWork:
        return self._messages.receive(_only(tensors), srcRank, tag)

    def recv_anysource(self, tensors: Tensors, tag: int = 0) -> MessageWork:
        return self._messages.receive(_only(tensors), None, tag)

    def alltoall(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> QueuedWork:
        return self._collectives.all_to_all(outputs, inputs)

    def all_to_all_single(
        self,
        output: torch.Tensor,
        input: torch.Tensor,
        output_split_sizes: list[int] | None = None,
        input_split_sizes: list[int] | None = None,
        opts: Any = None,
    ) -> QueuedWork:
        return self._collectives.all_to_all_single(
            output, input, list(output_split_sizes or []), list(input_split_sizes or [])
        )

    # Former versions of torch call it so.
    alltoall_base = all_to_all_single

    # ------------------------------------------------------------------------------------------------- its end

    def shutdown(self) -> None:
        """Leaves the group; `destroy_process_group` calls it. Calls under way end with ProcessGroupBroken."""
        _shut_down(self._group, self._queue)

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
    if given.group_size == 1:
        return HawserProcessGroup(StaticGroup(None), options, given.group_rank)
    gathered = gather(
        given.store,
        rank=given.group_rank,
        size=given.group_size,
        timeout=given.timeout,
        options=options,
        is_default=not given.global_ranks_in_group,
    )
    return HawserProcessGroup(StaticGroup(gathered), options, given.group_rank)


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
