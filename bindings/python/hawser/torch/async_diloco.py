"""DiLoCo delayed by one step: the reduction runs behind the next H local steps (docs/optim.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from hawser import Communicator, Plan, Quantization
from hawser.choices import plan_of, quantization_of
from hawser.torch.admission import OnAlone
from hawser.torch.bad_numbers import OnBad
from hawser.torch.checkpoint import Resume
from hawser.torch.fragment import Fragment, OuterSettings
from hawser.torch.model_content import Buffers, Frozen, ModelContent, Parameters
from hawser.torch.outer_loop import FIRST_TAG, GroupSettings, OuterLoop
from hawser.torch.site import Site

__all__ = ["AsyncDiLoCo"]

_LAUNCH = 1
"""The phase in which all members start a reduction next. 0: the first round, nothing was learnt yet."""


class AsyncDiLoCo(OuterLoop):
    """DiLoCo whose averages arrive one round later, so that nobody waits for the network.

    At the end of round t, every H-th `step`: waits for the average of round t-1, which has been under way since; makes
    the outer step with it; lets newcomers in and synchronises (nothing is under way then); exchanges in L what this
    member had learnt in round t-1 for what the group made of it; starts the reduction of what it has learnt in
    round t. Exactly the recurrence in docs/optim.md, "Delayed by one step".

    A reduction that a loss breaks off is made again by the others of the same, kept Δ. If nobody is left, the
    average is this member's own Δ. A newcomer sees the outer step that was under way when it came, starts with L = Θ,
    and adds nothing to the first reduction.

    Args: as `DiLoCo`. on_alone is asked when a round ends, not while a reduction is under way.
    Memory beside the model and its inner optimiser: Θ, M, S, Δ, the average.
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
        self._fragment = Fragment(content.trained, outer, has_start=True, buffers=content.averaged)
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
            user_state=user_state,
        )
        self._begin(resume)

    def step(self) -> bool:
        """An inner step; every H-th time the end of a round. Says whether it was such a one.

        Blocks then until the reduction of the round before has ended and all members have come so far. Raises as
        `DiLoCo.step`.
        """
        if self._local_steps + 1 >= self.sync_every:
            self._content.check(self.inner)
        self.inner.step()
        self._local_steps += 1
        if self._local_steps < self.sync_every:
            return False
        self._end_round()
        self._ended_at = time.monotonic()
        return True

    def _end_round(self) -> None:
        if self._sums[0].started:
            total = self._finish(0)
            if total is None:
                self._come_back()
                return
            self._apply(total)
        self._admission.state.withdraw()
        self._elected.stage()
        self._admission.set_progress(self.outer_steps, _LAUNCH, round_steps=self.sync_every)
        counts = True
        if self._admission.admit_and_agree():
            self._elected.put_back()
        else:
            counts = self._come_in()
            self._admission.offer()
        self._admission.went_well()
        if self._admission.phase == _LAUNCH:
            if counts:
                self._take_window()
            self._sums[0].start()
        self._local_steps = 0

    def _apply(self, total: int) -> None:
        """The outer step of the round before. If nobody had anything to add to it, none."""
        self._admission.state.withdraw()
        if total > 0:
            self._fragment.step()
            self._bad_numbers.refuse_outer("the outer step is too large, and is not told to the others")
        self._trained_at = self.outer_steps + (total > 0)
        self._admission.set_progress(self._trained_at, _LAUNCH, total)

    def _take_window(self) -> None:
        """Moves L along with the group, and takes what this member has learnt in this round as Δ."""
        self._fragment.move_along()
        self._fragment.take_delta()
        self._fragment.take_start()
        self._fragment.scale_delta(self._ask_weight(0))
        if self._bad_numbers.leaves_out(0):
            self._fragment.restart()

    def _enter(self) -> None:
        self._come_in()
        if self._admission.phase == _LAUNCH:
            self._sums[0].start()
        self._admission.offer()

    def _come_back(self) -> None:
        """After this member was out of the run while a reduction was under way, whose outcome it does not know.

        If the group has not made that outer step, all start the reduction anew, and the round goes on for H steps more.
        """
        self._come_in()
        self._local_steps = 0
        if self._admission.phase == _LAUNCH:
            self._sums[0].start()
        self._admission.offer()

    def _phase(self) -> int:
        return _LAUNCH if self._sums[0].started else 0
