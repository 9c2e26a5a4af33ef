"""DiLoCo (arXiv 2311.08105)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator, Plan, Quantization
from hawser.choices import plan_of, quantization_of
from hawser.errors import TooFewPeers
from hawser.torch.admission import OnAlone
from hawser.torch.bad_numbers import OnBad
from hawser.torch.checkpoint import Resume
from hawser.torch.fragment import Fragment, OuterSettings
from hawser.torch.model_content import Buffers, Frozen, ModelContent, Parameters
from hawser.torch.outer_loop import FIRST_TAG, GroupSettings, OuterLoop
from hawser.torch.site import Fate, Site

__all__ = ["DiLoCo"]

_REDUCTION = 1
"""The phase before the reduction of a round."""


class DiLoCo(OuterLoop):
    """H local steps of each member, then one outer step of all on the average of what they have learnt.

        diloco = DiLoCo(model, torch.optim.AdamW(model.parameters()), comm, sync_every=500)
        for batch in data:
            loss(model, batch).backward()
            diloco.step()
            diloco.zero_grad()

    Peers may join, leave and die at any moment, and your script needs no line for it. Every H-th `step` lets newcomers
    join, averages the progress Δ of all members, and makes the outer step. Its result has the same bits at all members.
    A member that is lost before the average was committed does not count, and the others average again. A newcomer
    fetches the outer state while the others train. It takes part in the next reduction with weight 0, and trains from
    the outer step after it. A member that was expelled joins again as a newcomer. Its progress counts if the group has
    made no outer step without it.

    Members must agree on the class, the model's names and shapes, sync_every, the outer step, plan, quantization,
    weight_unit and error_feedback. A newcomer that differs raises Refused with both values. If comm was connected
    before, it raises InvalidArgument and closes comm. Calls that differ four times in a row raise Mismatch.

    With sync_every=1, outer_momentum 0, and an inner torch.optim.SGD without momentum and weight decay, gradients are
    averaged instead of differences. The step is Θ - (outer_lr * lr) * average then. With outer_lr=1 this is
    data-parallel SGD bit for bit, if averages are (see plan). The lr is that of the group when the round began.

    Args:
        model_parameters: the model, `model.named_parameters()` or `model.parameters()`, the same on all members.
            float32, float64, bfloat16, float16; the outer copy is float64 for float64, else float32. From a list the
            module can't be seen: give `buffers` then.
        inner_optimizer: steps the parameters. Its state stays with the member.
        comm: connected or not; the constructor connects, fetches the state, and blocks as that does.
        sync_every: H, the same on all members.
        outer_lr, outer_momentum, nesterov: of the outer step.
        plan: how pseudo-gradients travel: a Plan or its name. The direct plan, which AUTO may choose, adds in the order
            of arrival. All members hold the same bits, but with three or more members another run may hold others.
            "ring" repeats them.
        quantization: of pseudo-gradients on the wire: a Quantization or its name, such as "int8".
        weight: called before each reduction: how much this member's progress counts (tokens since the last one).
        on_alone: what to do if all others are gone: "wait" for somebody, or "continue" alone.
        alone_timeout_s: how long it waits then, and for min_members, before it raises RuntimeError.
        min_members: with fewer members the group waits, and its log says for whom, instead of making an outer step. The
            same on all members; not for sites. AsyncDiLoCo and StreamingDiLoCo finish what is under way, and wait at
            the end of the round.
        weight_unit: weights are divided by it before they scale values. A power of two near the usual weight keeps
            values in range if they travel as float16. The same on all members.
        error_feedback: the loss of quantisation is added to the next reduction (8 bytes per parameter).
        on_bad: what happens to progress of this member that is not finite (NaN, infinity). "leave-out": it counts with
            weight 0, is named in every member's log, and the member goes on from the group's parameters. "raise": the
            member raises FloatingPointError. "take": nobody looks at it. An average that is not finite is dropped.
        buffers: the model's buffers that it saves are averaged like parameters if they are floats (BatchNorm's running
            statistics), with the weights and at the rate 1. Of others (counters, bools) all take the content that the
            group elects. None: those of the module. "local": each member keeps its own. Or `model.named_buffers()`.
        frozen: parameters that require no gradient when this is made. False: a newcomer whose content differs is
            refused. True: newcomers fetch them, and checkpoints have them. "local": each member keeps its own.
        user_state: what else members shall have alike, by name, such as {"scheduler": scheduler}: tensors, a
            torch.Generator, or objects with state_dict() and load_state_dict(). After each outer step (at the end of
            the round) all take the content that most members have; newcomers fetch it, checkpoints have it.
        resume: a `state_dict()` to continue from, or the file that torch.save has written it to. What does not fit the
            model raises ValueError with names and both shapes, before anything is taken. If all members start from
            checkpoints, the newest counts. Give `Communicator(min_peers=...)` to all, so that none begins before the
            others are there. A group that is already training wins: if it is ahead, this member logs a warning and
            takes its state. If it is behind, this member raises RuntimeError and closes comm.
        site: the ranks that hold the shards, if the model is sharded (FSDP2). See `Site`.
        first_tag: the first of the tags that are used, as many as there are parameters and a few more.

    Memory beyond the model and its inner optimiser: Θ, M, Δ, the average. Not to be used from several threads.
    """

    def __init__(
        self,
        model_parameters: Parameters,
        inner_optimizer: Any,
        comm: Communicator,
        *,
        sync_every: int,
        outer_lr: float = 0.7,
        outer_momentum: float = 0.9,
        nesterov: bool = True,
        plan: Plan | str = Plan.AUTO,
        quantization: Quantization | str | None = None,
        weight: Callable[[], int] | None = None,
        on_alone: OnAlone = "wait",
        alone_timeout_s: float = 3600.0,
        min_members: int = 1,
        weight_unit: int = 1,
        error_feedback: bool = False,
        on_bad: OnBad = "leave-out",
        buffers: Buffers = None,
        frozen: Frozen = False,
        user_state: Mapping[str, Any] | None = None,
        resume: Resume = None,
        site: Site | None = None,
        first_tag: int = FIRST_TAG,
    ) -> None:
        outer = OuterSettings(outer_lr, outer_momentum, nesterov)
        content = ModelContent(model_parameters, buffers, frozen, type(self).__name__)
        self._fragment = Fragment(content.trained, outer, buffers=content.averaged)
        self._outer_lr = outer_lr
        self._rates = torch.zeros(len(inner_optimizer.param_groups), dtype=torch.float64, device="cpu")
        self._rate_groups: list[int] | None = None
        if sync_every == 1 and outer_momentum == 0:
            self._rate_groups = _plain_sgd_groups(inner_optimizer, self._fragment)
        super().__init__(
            inner_optimizer,
            comm,
            content,
            [self._fragment],
            GroupSettings(
                plan_of(plan),
                quantization_of(quantization),
                weight,
                on_alone,
                alone_timeout_s,
                weight_unit,
                error_feedback,
                first_tag,
                site,
                on_bad,
                min_members,
            ),
            sync_every=sync_every,
            terms=outer.terms(),
            shared=None if self._rate_groups is None else {"inner_lr": self._rates},
            user_state=user_state,
            by_parameter=self._rate_groups is not None,
        )
        self._begin(resume)

    def step(self) -> bool:
        """An inner step, and every H-th time an outer step with the group. Returns True after an outer step.

        An outer step blocks until all members have come so far, at most the master's call_wait_ms, and while a newcomer
        fetches what it lacks. It makes calls again, and connects again, where that helps. Raises Mismatch (the members'
        calls differ), Closed, InvalidArgument, SystemFailure, Timeout, and RuntimeError after alone_timeout_s.
        """
        is_last = self._local_steps + 1 >= self.sync_every
        if is_last:
            self._content.check(self.inner)
        if is_last and self._rate_groups is not None:
            self._fragment.take_gradients(self._ask_weight(0))
        self.inner.step()
        self._local_steps += 1
        if not is_last:
            return False
        if self._rate_groups is None:
            self._fragment.take_delta(self._ask_weight(0))
        self._bad_numbers.leaves_out(0)  # after the reduction L = Θ anyway
        self._called_at = time.monotonic()
        self._begin_outer_step()
        self._outer_step()
        self._ended_at = time.monotonic()
        return True

    # -------------------------------------------------------------------------------------------- the round

    def _begin_outer_step(self) -> None:
        self._admission.state.withdraw()
        for index, group in enumerate(self.inner.param_groups):
            self._rates[index] = float(group["lr"])
        self._admission.set_progress(self.outer_steps, _REDUCTION, round_steps=self.sync_every)

    def _outer_step(self, *, is_admitted: bool = False) -> None:
        """With Δ taken: the reduction, the step, and what newcomers need then. Ends with a new round begun.

        is_admitted: this member has just been let in by the others, who reduce next.
        """
        while True:
            fate, total = self._attempt(lambda: self._sum(is_admitted), lambda: self._sums[0].mark)
            is_admitted = False
            if fate == Fate.DONE and not self._admission.has_enough(self._sums[0].members):
                # A loss before the commit has left too few in the sum: it is made again when there are enough.
                fate, _ = self._attempt(self._admission.wait_for_enough)
                is_admitted = fate == Fate.DONE
            elif fate == Fate.DONE:
                assert total is not None
                self._apply(total)
                fate, _ = self._attempt(self._admission.agree)
                if fate == Fate.DONE:
                    self._elected.put_back()
                    break
            if fate == Fate.OUT:
                is_admitted = self._come_back()
                if not is_admitted:
                    break
        self._admission.went_well()

    def _sum(self, is_admitted: bool) -> int:
        """Of all members' Δ; gives that of the weights."""
        try:
            if not is_admitted:
                self._admission.admit()
            return self._sums[0].reduce()
        except TooFewPeers:
            if not self._admission.goes_on_alone:
                raise
            self._fragment.take_own()
            return self._sums[0].take_own()

    def _apply(self, total: int) -> None:
        """The step with what was summed, and the beginning of a round. If nobody had anything good to add, no step."""
        total = self._average(0, total)
        if total > 0:
            if self._rate_groups is None:
                self._fragment.step()
            else:
                self._fragment.step([self._outer_lr * float(self._rates[group]) for group in self._rate_groups])
            self._bad_numbers.refuse_outer("the outer step is too large, and is not told to the others")
        self._sums[0].is_left_out = False
        self._fragment.restart()
        self._elected.stage()
        self._sums[0].weight = 0
        self._local_steps = 0
        self._trained_at = self.outer_steps + (total > 0)
        self._admission.set_progress(self._trained_at, 0, total)

    # -------------------------------------------------------------------------------------- coming in anew

    def _enter(self) -> None:
        self._come_in()
        if self._phase_is_reduction():
            # Let in before a reduction, to which this member has nothing to add.
            self._fragment.clear_delta()
            self._sums[0].weight = 0
            self._outer_step(is_admitted=True)
        else:
            self._admission.offer()

    def _come_back(self) -> bool:
        """After this member was out of the run, in an outer step. True if the others make that step next."""
        self._come_in()
        if self._phase_is_reduction():
            return True
        self._local_steps = 0
        self._admission.offer()
        return False

    def _phase_is_reduction(self) -> bool:
        return self._admission.phase == _REDUCTION

    def _phase(self) -> int:
        return 0


def _plain_sgd_groups(optimizer: Any, fragment: Fragment) -> list[int] | None:
    """The group of the inner optimiser that each parameter is in, if it is SGD with a learning rate only."""
    if type(optimizer) is not torch.optim.SGD:
        return None
    group_of: dict[int, int] = {}
    for index, group in enumerate(optimizer.param_groups):
        if group["momentum"] or group["weight_decay"] or group["maximize"]:
            return None
        for parameter in group["params"]:
            group_of[id(parameter)] = index
    if any(id(parameter) not in group_of for parameter in fragment.parameters):
        return None
    return [group_of[id(parameter)] for parameter in fragment.parameters]
