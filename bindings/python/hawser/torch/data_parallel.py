"""Gradients averaged over the group while backward goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator, Plan, Quantization, ReduceOp
from hawser.choices import plan_of, quantization_of
from hawser.errors import HawserError
from hawser.torch import arithmetic
from hawser.torch.bad_numbers import OnBad, check_on_bad
from hawser.torch.model_content import ModelContent, Parameters
from hawser.torch.reduction import Reduction
from hawser.torch.roll_call import Part, RollCall

__all__ = ["DataParallel"]

_log = logging.getLogger("hawser")


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
        on_bad: what happens to gradients of this member that are not finite. "leave-out": those of the bucket that they
            are in do not count, the average is that of the others, and every member's log names this one. "raise":
            `finish` raises FloatingPointError. "take": nobody looks at them, as a gradient scaler wants it.
        first_tag: of the collectives, one for each bucket and one more.

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
        on_bad: OnBad = "leave-out",
        first_tag: int = 1 << 41,
    ) -> None:
        check_on_bad(on_bad)
        # Parameters and buffers are the caller's to share.
        self._content = ModelContent(model_parameters, "local", "local", "DataParallel")
        parameters = [parameter for _, parameter in self._content.trained]
        if any(hasattr(parameter, "to_local") for parameter in parameters):
            raise TypeError("DataParallel is for whole parameters; of sharded ones (FSDP) take DiLoCo with a Site")
        # Backward makes the last ones first.
        self._buckets = _fill(parameters[::-1], bucket_bytes)
        self._comm = comm
        self._on_bad = on_bad
        # Whose buckets are good: one for each bucket, then who the members are.
        count = len(self._buckets)
        self._good = torch.zeros(count + RollCall.NUMBERS, dtype=torch.int64, device="cpu")
        self._good_members = torch.zeros_like(self._good)
        self._roll = RollCall(self._good[count:], self._good_members[count:])
        self._sends = [*(bucket.flat for bucket in self._buckets), self._good]
        self._receives = [*(torch.empty_like(bucket.flat) for bucket in self._buckets), self._good_members]
        self._reduction = Reduction(
            comm,
            self._sends,
            self._receives,
            op=[ReduceOp.AVG] * count + [ReduceOp.SUM],
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
            self._tell_what_is_good()
            contributors = self._reduction.finish()
        finally:
            for bucket in self._buckets:
                bucket.forget()
        self._leave_out(len(contributors))
        for bucket, average in zip(self._buckets, self._receives):
            bucket.put_back(average)
        return contributors

    def _tell_what_is_good(self) -> None:
        """Starts the last sum: which of this member's buckets count."""
        if self._on_bad == "take":
            bad = []
        else:
            bad = [index for index, bucket in enumerate(self._buckets) if not bucket.is_good]
        if bad and self._on_bad == "raise":
            self._reduction.drain()
            gradients = [(name, each.grad) for name, each in self._content.trained if each.grad is not None]
            names = [name for name, gradient in gradients if not arithmetic.is_finite(gradient)]
            raise FloatingPointError(
                f'gradients of this member are not finite in {", ".join(names[:8])}, and on_bad is "raise"; the others '
                "go on when its communicator is closed"
            )
        count = len(self._buckets)
        self._good[:count] = 1
        self._good[bad] = 0
        try:
            self._roll.sign(self._comm.peer_id, Part.LEFT_OUT if bad else Part.COUNTS)
        except HawserError:
            pass  # the calls have the same one
        self._reduction.start(count)

    def _leave_out(self, members: int) -> None:
        """Makes averages of those members whose buckets are good: the others have given zeros."""
        good = self._good_members[: len(self._buckets)].tolist()
        if min(good) == members:
            return
        for count, average in zip(good, self._receives):
            if 0 < count < members:
                average.mul_(members / count)
        names = {member.peer_id: member.name for member in self._comm.members}
        _log.warning(
            "gradients of %s are not finite: they are left out of the average of %d of %d buckets%s",
            ", ".join(self._roll.read(names).left_out),
            sum(each < members for each in good),
            len(good),
            "" if min(good) else "; where nobody has finite ones, they are zeros",
        )

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
        self._buckets[index].take(self._on_bad != "take")
        self._reduction.start(index)


class _Bucket:
    """Gradients of some parameters in one piece of memory."""

    def __init__(self, parameters: list[torch.Tensor]) -> None:
        self.parameters = parameters
        count = sum(each.numel() for each in parameters)
        self.flat = torch.zeros(count, dtype=parameters[0].dtype, device=parameters[0].device)
        self.is_started = False
        self._good: torch.Tensor | None = None
        self._ready: set[int] = set()

    @property
    def is_good(self) -> bool:
        """Whether the gradients that were taken are finite. Blocks until a device knows."""
        return self._good is None or bool(self._good)

    def count_in(self, parameter: torch.Tensor) -> bool:
        """Says whether all are there now."""
        if self.is_started:
            raise RuntimeError("backward ran twice before finish(); use accumulate() for all but the last")
        self._ready.add(id(parameter))
        return len(self._ready) == len(self.parameters)

    def take(self, is_checked: bool) -> None:
        """is_checked: zeros instead, if they are not finite. The host does not wait for a device."""
        self.is_started = True
        for parameter, part in zip(self.parameters, self._parts(self.flat)):
            if parameter.grad is None:
                part.zero_()
            else:
                part.copy_(parameter.grad.detach().reshape(-1))
        self._good = arithmetic.finiteness(self.flat) if is_checked and self.flat.numel() else None
        if self._good is not None and (self.flat.device.type != "cpu" or not self._good):
            self.flat.masked_fill_(~self._good, 0)

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
