"""Streaming DiLoCo (arXiv 2501.18512)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator, Plan, Quantization
from hawser.choices import plan_of, quantization_of
from hawser.torch.admission import OnAlone
from hawser.torch.bad_numbers import OnBad
from hawser.torch.checkpoint import Resume
from hawser.torch.fragment import Fragment, OuterSettings
from hawser.torch.model_content import Buffers, Frozen, ModelContent, NamedTensor, Parameters
from hawser.torch.outer_loop import FIRST_TAG, GroupSettings, OuterLoop
from hawser.torch.site import Site

__all__ = ["StreamingDiLoCo"]


class StreamingDiLoCo(OuterLoop):
    """DiLoCo in fragments that take turns: the network carries one of them at a time, behind a few local steps.

    A round has H local steps and P fragments. Fragment p (from 0) is due at local step floor((p + 1) H / P) of the
    round: its outer step is made then, and L = alpha L + (1 - alpha) Θ. Its reduction is started `overlap` steps
    before. After the last fragment, at the end of the round, newcomers are let in and the state is synchronised.

    A newcomer starts a round with L = Θ in all fragments, and what it learns counts from then on. Losses, expulsions
    and weights are as for `DiLoCo`; if nobody is left while a reduction is under way, the average is this member's
    own Δ. on_alone is asked when a round ends.

    Args: as `DiLoCo`, and
        fragments: P. Parameters are cut in their order into P parts of about the same size. Buffers are in the last
        one. fragment_of: the fragment (0 to P - 1) of a parameter, by its name, instead. The same on all members.
        overlap: tau, less than floor(H / P). 0: nothing is hidden.
        alpha: how much of L is kept where a fragment is due: 0 forgets the overlapped steps.
        quantization: for example Quantization.min_max() (8 bits) or Quantization.blockwise(QuantizedType.INT4).
    """

    def __init__(
        self,
        model_parameters: Parameters,
        inner_optimizer: Any,
        comm: Communicator,
        *,
        sync_every: int,
        fragments: int,
        fragment_of: Callable[[str], int] | None = None,
        overlap: int = 0,
        alpha: float = 0.5,
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
        if fragments < 1 or not 0 <= overlap < max(1, sync_every // fragments):
            raise ValueError("overlap must be less than sync_every // fragments, and that at least 1")
        if not 0 <= alpha <= 1:
            raise ValueError("alpha must be from 0 to 1")
        if sync_every < fragments:
            raise ValueError("there are more fragments than steps in a round")
        self._alpha = alpha
        self._due = [(index + 1) * sync_every // fragments for index in range(fragments)]
        self._starts = [due - overlap for due in self._due]
        outer = OuterSettings(outer_lr, outer_momentum, nesterov)
        content = ModelContent(model_parameters, buffers, frozen, type(self).__name__)
        parts = _cut(content.trained, fragments, fragment_of)
        averaged: list[list[NamedTensor]] = [[] for _ in parts[1:]] + [content.averaged]
        super().__init__(
            inner_optimizer,
            comm,
            content,
            [Fragment(part, outer, buffers=own) for part, own in zip(parts, averaged)],
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
            terms={**outer.terms(), "fragments": str(fragments), "overlap": str(overlap), "alpha": repr(alpha)},
            user_state=user_state,
        )
        self._begin(resume)

    @property
    def travelling(self) -> list[int]:
        """Fragments whose sums travel now. Does not block."""
        return [index for index, each in enumerate(self._sums) if not each.ended]

    def step(self) -> bool:
        """An inner step, and the group's calls that are due after it; says whether a fragment made its outer step.

        Blocks where a fragment is due until its reduction has ended, and at the end of a round until all members have
        come so far. Raises as `DiLoCo.step`.
        """
        if self._local_steps + 1 in self._starts:
            self._content.check(self.inner)
        self.inner.step()
        self._local_steps += 1
        is_due = False
        for index, (begin, due) in enumerate(zip(self._starts, self._due)):
            if self._local_steps == begin:
                self._fragments[index].take_delta(self._ask_weight(index))
                if self._bad_numbers.leaves_out(index):
                    # In all of them, as one bad number spoils all with the next backward.
                    for fragment in self._fragments:
                        fragment.take_over()
                self._sums[index].start()
            if self._local_steps == due:
                is_due = True
                is_in = self._complete(index)
                self._ended_at = time.monotonic()
                if not is_in:
                    return True
        if self._local_steps == self.sync_every:
            self._end_round()
            self._ended_at = time.monotonic()
        return is_due

    def _complete(self, index: int) -> bool:
        """The outer step of a fragment. False: this member had to come in anew, and a round begins."""
        total = self._finish(index)
        if total is None:
            self._come_back()
            return False
        self._admission.state.withdraw()
        if total > 0:
            self._fragments[index].step()
            self._bad_numbers.refuse_outer("the outer step is too large, and is not told to the others")
        self._fragments[index].take_over(self._alpha)
        self._trained_at = self.outer_steps + (total > 0)
        self._admission.set_progress(self._trained_at, 0, total)
        return True

    def _end_round(self) -> None:
        self._local_steps = 0
        self._admission.state.withdraw()
        self._elected.stage()
        self._admission.set_progress(self.outer_steps, 0, round_steps=self.sync_every)
        if self._admission.admit_and_agree():
            self._elected.put_back()
        else:
            self._come_back()
        self._admission.went_well()

    def _enter(self) -> None:
        self._come_in()
        self._local_steps = self._admission.phase
        for index, (begin, due) in enumerate(zip(self._starts, self._due)):
            if begin <= self._local_steps < due:
                self._sums[index].start()
        self._admission.offer()

    def _come_back(self) -> None:
        """After this member was out of the run: begins a round, as the group does that lets it in.

        What it has learnt is in L still, and counts if the group has made no outer step without it.
        """
        for each in self._sums:
            each.drain()
        self._admission.state.withdraw()
        self._admission.progress[1] = 0
        self._come_in()
        self._local_steps = 0
        self._admission.offer()

    def _phase(self) -> int:
        return self._local_steps


def _cut(
    parameters: list[tuple[str, torch.Tensor]], fragments: int, fragment_of: Callable[[str], int] | None
) -> list[list[tuple[str, torch.Tensor]]]:
    parts: list[list[tuple[str, torch.Tensor]]] = [[] for _ in range(fragments)]
    total = sum(parameter.numel() for _, parameter in parameters)
    before = 0
    for name, parameter in parameters:
        if fragment_of is not None:
            index = fragment_of(name)
            if not 0 <= index < fragments:
                raise ValueError(f"fragment_of({name!r}) is {index}; there are {fragments}")
        else:
            # By the middle of the parameter.
            index = min(fragments - 1, (2 * before + parameter.numel()) * fragments // max(1, 2 * total))
        parts[index].append((name, parameter))
        before += parameter.numel()
    if not all(parts):
        raise ValueError("a fragment has no parameters; take fewer fragments")
    return parts
