"""Gradients averaged over the group while backward goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator, Plan, Quantization, ReduceOp
from hawser.choices import plan_of, quantization_of
from hawser.torch.model_content import ModelContent, Parameters
from hawser.torch.reduction import Reduction

__all__ = ["DataParallel"]


class DataParallel:
    """Averages gradients over the group, bucket by bucket, as backward makes them.

        parallel = DataParallel(model.parameters(), comm)
        for batch in data:
            loss(model, batch).backward()      # buckets travel as soon as they are full
            parallel.finish()                  # p.grad is the average now
            optimizer.step()
            optimizer.zero_grad()

    Each parameter's gradient counts as it is when backward has added to it the last time before `finish`; without
    `accumulate`, backward runs once between two calls of `finish`. A parameter without gradient adds zeros. A loss
    is made good with the others, from the same gradients. `finish` reduces over the group of the moment: newcomers
    are let in by update_topology between two steps, and get parameters by a SharedState (docs/python.md).

    Args:
        model_parameters: the model, `model.parameters()` or `model.named_parameters()`, the same on all members. Of one
            float type, or several. Parameters and buffers themselves are not sent (see SharedState).
        comm: connected.
        bucket_bytes: gradients are put together up to so many bytes.
        plan: how gradients travel.
        quantization: of gradients on the wire.
        first_tag: of the collectives, one for each bucket.

    Memory: twice the gradients. Hooks stay until `close`.
    """

    def __init__(
        self,
        model_parameters: Parameters,
        comm: Communicator,
        *,
        bucket_bytes: int = 25 << 20,
        plan: Plan | str = Plan.AUTO,
        quantization: Quantization | str | None = None,
        first_tag: int = 1 << 41,
    ) -> None:
        # Parameters and buffers are the caller's to share.
        self._content = ModelContent(model_parameters, "local", "local", "DataParallel")
        parameters = [parameter for _, parameter in self._content.trained]
        if any(hasattr(parameter, "to_local") for parameter in parameters):
            raise TypeError("DataParallel is for whole parameters; of sharded ones (FSDP) take DiLoCo with a Site")
        # Backward makes the last ones first.
        self._buckets = _fill(parameters[::-1], bucket_bytes)
        self._sends = [bucket.flat for bucket in self._buckets]
        self._receives = [torch.empty_like(bucket.flat) for bucket in self._buckets]
        self._reduction = Reduction(
            comm,
            self._sends,
            self._receives,
            op=ReduceOp.AVG,
            first_tag=first_tag,
            plan=plan_of(plan),
            quantization=quantization_of(quantization),
        )
        self._accumulates = False
        self._hooks: list[Any] = []
        for index, bucket in enumerate(self._buckets):
            hook = self._hook(index)
            trained: Any
            for trained in bucket.parameters:
                self._hooks.append(trained.register_post_accumulate_grad_hook(hook))

    def finish(self) -> list[int]:
        """Waits until all gradients are averages; gives the peer ids of those they are of.

        Raises as `Communicator.all_reduce`, PeerLost and MasterRestarted apart: those are mended. After an error the
        gradients are this member's own, and `finish` may be called again: after TooFewPeers, Mismatch and Timeout at
        once, else after `Communicator.connect`. RuntimeError names parameters that were unfrozen, added or replaced
        since this was made.
        """
        self._content.check()
        for index, bucket in enumerate(self._buckets):
            if not bucket.is_started:
                self._start(index)
        try:
            contributors = self._reduction.finish()
        finally:
            for bucket in self._buckets:
                bucket.forget()
        for bucket, average in zip(self._buckets, self._receives):
            bucket.put_back(average)
        return contributors

    @property
    def bytes_sent(self) -> int:
        """Payload that this process has sent in averages that ended well."""
        return self._reduction.bytes_sent

    @contextmanager
    def accumulate(self) -> Iterator[None]:
        """Gradients of backward calls inside stay here; the first one outside sends them along with its own."""
        before, self._accumulates = self._accumulates, True
        try:
            yield
        finally:
            self._accumulates = before

    def close(self) -> None:
        """Takes the hooks away, and waits for what is under way."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._reduction.drain()

    def _hook(self, index: int) -> Any:
        def ready(parameter: torch.Tensor) -> None:
            bucket = self._buckets[index]
            if not self._accumulates and bucket.count_in(parameter):
                self._start(index)

        return ready

    def _start(self, index: int) -> None:
        self._buckets[index].take()
        self._reduction.start(index)


class _Bucket:
    """Gradients of some parameters in one piece of memory."""

    def __init__(self, parameters: list[torch.Tensor]) -> None:
        self.parameters = parameters
        count = sum(each.numel() for each in parameters)
        self.flat = torch.zeros(count, dtype=parameters[0].dtype, device=parameters[0].device)
        self.is_started = False
        self._ready: set[int] = set()

    def count_in(self, parameter: torch.Tensor) -> bool:
        """Says whether all are there now."""
        if self.is_started:
            raise RuntimeError("backward ran twice before finish(); use accumulate() for all but the last")
        self._ready.add(id(parameter))
        return len(self._ready) == len(self.parameters)

    def take(self) -> None:
        self.is_started = True
        for parameter, part in zip(self.parameters, self._parts(self.flat)):
            if parameter.grad is None:
                part.zero_()
            else:
                part.copy_(parameter.grad.detach().reshape(-1))

    def put_back(self, average: torch.Tensor) -> None:
        for parameter, part in zip(self.parameters, self._parts(average)):
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            parameter.grad.detach().copy_(part.view(parameter.shape))

    def forget(self) -> None:
        self.is_started = False
        self._ready.clear()

    def _parts(self, flat: torch.Tensor) -> Any:
        return torch.split(flat, [parameter.numel() for parameter in self.parameters])


def _fill(parameters: list[torch.Tensor], bytes_max: int) -> list[_Bucket]:
    """In order, of one type and on one device each."""
    buckets: list[list[torch.Tensor]] = []
    size = 0
    for parameter in parameters:
        own = parameter.numel() * parameter.element_size()
        fits = buckets and (buckets[-1][0].dtype, buckets[-1][0].device) == (parameter.dtype, parameter.device)
        if not fits or size + own > bytes_max:
            buckets.append([])
            size = 0
        buckets[-1].append(parameter)
        size += own
    return [_Bucket(bucket) for bucket in buckets]
