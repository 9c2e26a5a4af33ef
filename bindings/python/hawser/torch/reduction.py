"""All-reduces of a list of tensors that all have the same contributors, whoever is lost meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import AsyncOp, Communicator, HawserError, Plan, Quantization, ReduceInfo, ReduceOp, Residual
from hawser.errors import MasterRestarted, PeerLost
from hawser.torch.roll_call import Part, Present, RollCall

__all__ = ["GroupSum", "Reduction"]


class Reduction:
    """Sums or averages of fixed tensors, out of place, under fixed tags, in the background.

    What a loss ends is called again under the same tag, so that members who notice at different moments meet. At the
    end all members see the same contributors for each tensor; if they differ from tensor to tensor (somebody was lost
    in between), all members start all of them once more from the inputs, which are intact.
    """

    def __init__(
        self,
        comm: Communicator,
        sends: Sequence[torch.Tensor],
        receives: Sequence[torch.Tensor],
        *,
        op: ReduceOp | Sequence[ReduceOp],
        first_tag: int,
        plan: Plan = Plan.AUTO,
        quantization: Quantization | None = None,
        residuals: Sequence[Residual] | None = None,
    ) -> None:
        self._comm = comm
        self._sends = list(sends)
        self._receives = list(receives)
        self._ops_of = [op] * len(self._sends) if isinstance(op, ReduceOp) else list(op)
        self._first_tag = first_tag
        self._plan = plan
        self._quantization = quantization
        self._residuals = list(residuals) if residuals is not None else None
        self._ops: dict[int, AsyncOp] = {}
        self._error: HawserError | None = None
        self.bytes_sent = 0
        """Payload of all that ended well."""
        self.bytes_received = 0
        """Likewise."""
        self.infos: dict[int, ReduceInfo] = {}
        """Of each tensor, the last one that ended well."""

    @property
    def started(self) -> bool:
        """Whether something is under way, or has ended and was not waited for."""
        return bool(self._ops) or self._error is not None

    @property
    def ended(self) -> bool:
        """Whether nothing travels any more: `finish` does not wait, unless something has to be called again."""
        return all(op.test() for op in self._ops.values())

    def start(self, index: int) -> None:
        """Starts one. An error is raised by `finish`."""
        if self._error is None:
            try:
                self._ops[index] = self._call(index)
            except HawserError as error:
                self._error = error

    def start_all(self) -> None:
        """Starts all."""
        for index in range(len(self._sends)):
            self.start(index)

    def finish(self) -> list[int]:
        """Waits until all that was started has ended well; gives the contributors.

        Raises what `Communicator.all_reduce` raises, PeerLost and MasterRestarted apart; nothing is under way then.
        """
        try:
            while True:
                if self._error is not None:
                    raise self._error
                contributors = [self._finish(index) for index in sorted(self._ops)]
                if all(each == contributors[0] for each in contributors):
                    self._ops.clear()
                    return contributors[0]
                for index in list(self._ops):
                    self._ops[index] = self._call(index)
        except BaseException:
            self.drain()
            raise

    def drain(self) -> None:
        """Waits until nothing is under way, and forgets it."""
        for op in self._ops.values():
            try:
                op.wait()
            except HawserError:
                pass
        self._ops.clear()
        self._error = None

    def _finish(self, index: int) -> list[int]:
        while True:
            try:
                info = self._ops[index].wait()
                self.bytes_sent += info.bytes_sent
                self.bytes_received += info.bytes_received
                self.infos[index] = info
                return list(info.contributors)
            except (PeerLost, MasterRestarted):
                self._ops[index] = self._call(index)

    def _call(self, index: int) -> AsyncOp:
        send = self._sends[index]
        quantization = self._quantization if send.dtype.is_floating_point else None
        residual = self._residuals[index] if self._residuals is not None and quantization is not None else None
        return self._comm.all_reduce_async(
            send,
            self._receives[index],
            op=self._ops_of[index],
            tag=self._first_tag + index,
            plan=self._plan,
            quantization=quantization,
            residual=residual,
        )


class GroupSum:
    """The sum of all members' pseudo-gradients and of their weights, by the same contributors.

    `mark` tells groups of contributors apart: the sum of the numbers that they are known by (`own_mark`). `present`
    says who they were.

    Args:
        per_parameter: what `reduce` sums by parameter, and where the sums go.
        buckets: the same memory in pieces for the background.
        by_parameter: whether `reduce` sums parameter by parameter, so that the bits are those of the plain loop.
        first_tag: `tags` are used from this one on.
        error_feedback: what quantisation loses is added to the next sum.
    """

    def __init__(
        self,
        comm: Communicator,
        *,
        per_parameter: tuple[list[torch.Tensor], list[torch.Tensor]],
        by_parameter: bool,
        buckets: tuple[list[torch.Tensor], list[torch.Tensor]],
        first_tag: int,
        plan: Plan,
        quantization: Quantization | None,
        error_feedback: bool,
        own_mark: int = 0,
    ) -> None:
        self._comm = comm
        self._weight = torch.zeros(2 + RollCall.NUMBERS, dtype=torch.int64, device="cpu")
        self._weight[1] = own_mark
        self._total = torch.zeros_like(self._weight)
        self._roll = RollCall(self._weight[2:], self._total[2:])
        self.is_left_out = False
        """Whether this member's values were not finite, and are zeros of weight 0 now."""
        self._sends = [*per_parameter[0], self._weight]
        self._receives = [*per_parameter[1], self._total]
        self._by_parameter = by_parameter and not error_feedback
        self._first_tag = first_tag
        self._plan = plan
        self._quantization = quantization
        sends = [*buckets[0], self._weight]
        self._residuals: list[Residual] | None = None
        if error_feedback:
            if quantization is None:
                raise ValueError("error feedback needs a quantization: nothing is lost without")
            floats = [send if send.dtype.is_floating_point else torch.zeros(1, device="cpu") for send in sends]
            self._residuals = [Residual.like(send) for send in floats]
        self._background = Reduction(
            comm,
            sends,
            [*buckets[1], self._total],
            op=ReduceOp.SUM,
            first_tag=first_tag + len(self._sends),
            plan=plan,
            quantization=quantization,
            residuals=self._residuals,
        )
        self.tags = len(self._sends) + len(sends)
        self._bytes_sent = self._bytes_received = 0

    @property
    def bytes_sent(self) -> int:
        """Payload of all sums that ended well."""
        return self._bytes_sent + self._background.bytes_sent

    @property
    def bytes_received(self) -> int:
        """Likewise."""
        return self._bytes_received + self._background.bytes_received

    @property
    def largest(self) -> ReduceInfo | None:
        """What the last collective of the most bytes was; None if that is not known."""
        if self._by_parameter:
            return None
        return max(self._background.infos.values(), key=lambda info: int(info.bytes_sent), default=None)

    @property
    def weight(self) -> int:
        """Of this member in the sum."""
        return int(self._weight[0])

    @weight.setter
    def weight(self, weight: int) -> None:
        self._weight[0] = weight

    @property
    def mark(self) -> int:
        """Of the contributors to the last sum."""
        return int(self._total[1])

    def take_own(self) -> int:
        """As if the sum of the weights were of this member alone; gives it."""
        self._sign()
        self._total.copy_(self._weight)
        return self.weight

    @property
    def members(self) -> int:
        """So many were in the last sum, with whatever weight."""
        return self._roll.members

    @property
    def error_norms(self) -> list[float]:
        """Root mean square of what quantisation owes, by bucket. Empty without error feedback."""
        return [residual.norm for residual in self._residuals or ()][:-1]

    def reduce(self) -> int:
        """Sums now; gives the sum of the weights. Losses are made good; raises the rest, with inputs intact."""
        if not self._by_parameter:
            self.start()
            return self.finish()
        self._sign()
        while True:
            info = self._comm.all_reduce_many(
                self._sends,
                self._receives,
                op=ReduceOp.SUM,
                first_tag=self._first_tag,
                plan=self._plan,
                quantization=self._quantization,
            )
            self._bytes_sent += info.bytes_sent
            self._bytes_received += info.bytes_received
            # Within one view only losses happen: equally many contributors are the same ones.
            if info.world_size_least == info.world_size_most:
                return int(self._total[0])

    def start(self) -> None:
        """Begins to sum in the background. An error is raised by `finish`."""
        self._sign()
        self._background.start_all()

    def _sign(self) -> None:
        idle = Part.LEFT_OUT if self.is_left_out else Part.IDLE
        try:
            self._roll.sign(self._comm.peer_id, Part.COUNTS if self.weight > 0 else idle)
        except HawserError:
            pass  # whoever is out of the run hears it from the sum

    def present(self, names: Mapping[int, str]) -> Present:
        """Who was in the last sum. `names`: of the members by their ids."""
        return self._roll.read(names)

    def finish(self) -> int:
        """Waits for what `start` began; gives the sum of the weights. Raises as `reduce`; nothing is under way then."""
        self._background.finish()
        return int(self._total[0])

    def drain(self) -> None:
        """Waits until nothing is under way."""
        self._background.drain()

    @property
    def started(self) -> bool:
        """Whether `start` was called and `finish` was not."""
        return self._background.started

    @property
    def ended(self) -> bool:
        """Whether nothing of it travels any more."""
        return self._background.ended

