"""What the DiLoCo family has in common: an inner optimiser, fragments with their sums, one shared state."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator, HawserError, Plan, PrefetchInfo, Quantization
from hawser.errors import TooFewPeers
from hawser.torch.admission import Admission, OnAlone
from hawser.torch.bad_numbers import BadNumbers, OnBad
from hawser.torch.checkpoint import Resume, check_checkpoint, read_checkpoint
from hawser.torch.elected_content import ElectedContent
from hawser.torch.fragment import Fragment
from hawser.torch.model_content import ModelContent, described_optimizer
from hawser.torch.reduction import GroupSum
from hawser.torch.roll_call import Present
from hawser.torch.round_report import Round
from hawser.torch.settings import Settings, described_model, described_quantization
from hawser.torch.site import Fate, Site, shard
from hawser.torch.user_state import entry_of

__all__ = ["FIRST_TAG", "GroupSettings", "OuterLoop"]

T = TypeVar("T")
FIRST_TAG = 1 << 40
"""Tags from this one on are used, unless another is given."""

_BUCKET_BYTES = 32 << 20
_log = logging.getLogger("hawser")


@dataclass(frozen=True)
class GroupSettings:
    """How a member deals with its group."""

    plan: Plan
    quantization: Quantization | None
    weight: Callable[[], int] | None
    on_alone: OnAlone
    alone_timeout_s: float
    weight_unit: int
    error_feedback: bool
    first_tag: int
    site: Site | None = None
    on_bad: OnBad = "leave-out"
    min_members: int = 1


class OuterLoop(ABC):
    """Inner steps, of which some are followed by calls with the group. Not to be used from several threads."""

    def __init__(
        self,
        inner_optimizer: Any,
        comm: Communicator,
        content: ModelContent,
        fragments: Sequence[Fragment],
        settings: GroupSettings,
        *,
        sync_every: int,
        terms: Mapping[str, str],
        shared: dict[str, torch.Tensor] | None = None,
        by_parameter: bool = False,
        user_state: Mapping[str, Any] | None = None,
    ) -> None:
        if sync_every < 1:
            raise ValueError("sync_every must be 1 or more")
        if settings.weight_unit < 1:
            raise ValueError("weight_unit must be 1 or more")
        self.inner = inner_optimizer
        self.sync_every = sync_every
        self._settings = settings
        self._content = content
        content.note_optimizer(inner_optimizer)
        self._fragments = list(fragments)
        self._elected = ElectedContent(content, [entry_of(name, each) for name, each in (user_state or {}).items()])
        self._sums: list[GroupSum] = []
        tensors = {**(shared or {}), **self._elected.shared()}
        tag = settings.first_tag + 1
        for fragment in fragments:
            tensors.update(fragment.shared())
            self._sums.append(
                GroupSum(
                    comm,
                    per_parameter=fragment.per_parameter(),
                    by_parameter=by_parameter,
                    buckets=fragment.buckets(_BUCKET_BYTES),
                    first_tag=tag,
                    plan=settings.plan,
                    quantization=settings.quantization,
                    error_feedback=settings.error_feedback,
                    own_mark=0 if settings.site is None else settings.site.id,
                )
            )
            tag += self._sums[-1].tags
        self._admission = Admission(
            comm,
            tensors,
            on_alone=settings.on_alone,
            alone_timeout_s=settings.alone_timeout_s,
            min_members=settings.min_members,
            tag=settings.first_tag,
            settings=Settings(self._terms(terms, tensors)),
            site=settings.site,
        )
        self._bad_numbers = BadNumbers(
            settings.on_bad, settings.weight_unit, self._admission, self._fragments, self._sums, inner_optimizer
        )
        self._local_steps = 0
        self._counted = 0  # the mark of those who counted in the last sum
        self._trained_at = -1  # the outer steps that L is built on; -1: it counts for nothing
        self._resumed_at: int | None = None  # the outer steps of the checkpoint that the group has to take over
        self._last_round: Round | None = None
        self._called_at = self._ended_at = time.monotonic()
        self._members_then: dict[int, str] | None = None  # of the round before
        self._bytes_then = (0, 0)

    def _terms(self, own: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
        """What all members of the group must have alike. Those of another first tag may be beside these."""
        settings = self._settings
        alike = {
            "class": type(self).__name__,
            "sync_every": str(self.sync_every),
            "plan": settings.plan.name,
            "quantization": described_quantization(settings.quantization)
            + (", error_feedback" if settings.error_feedback else ""),
            "weight_unit": str(settings.weight_unit),
            "min_members": str(settings.min_members),
            "model": described_model({**tensors, **self._content.described()}),
            "inner optimizer": described_optimizer(self.inner, self._content.trained),
            **own,
        }
        if frozen := self._content.described_frozen():
            alike["frozen parameters"] = frozen
        if settings.site is not None:
            alike["ranks of a site"] = str(settings.site.size)
        if spread := "; ".join(filter(None, (fragment.blocks_described for fragment in self._fragments))):
            alike["elements by device"] = spread
        if settings.first_tag == FIRST_TAG:
            return alike
        return {f"{name} of first_tag {settings.first_tag}": value for name, value in alike.items()}

    # ------------------------------------------------------------------------------------------ the caller

    @property
    def comm(self) -> Communicator:
        """The communicator."""
        return self._admission.comm

    @property
    def outer_steps(self) -> int:
        """Outer steps that the group has made (of fragments, if there are several)."""
        return self._admission.outer_steps

    @property
    def total_weight(self) -> int:
        """The sum of the weights of all progress that counts in Θ, over all members and outer steps; newcomers know
        it, too. Tokens that the group has trained on, if weights are tokens. With fragments, the mean over them."""
        return self._admission.weight_sum // len(self._fragments)

    @property
    def bytes_sent(self) -> int:
        """Payload that this process has sent in reductions and synchronisations that ended well (what newcomers fetch
        before they are let in is not in it)."""
        return self._admission.bytes_sent + sum(each.bytes_sent for each in self._sums)

    @property
    def last_round(self) -> Round | None:
        """The last reduction that ended here and what became of it; None before the first. The logger "hawser" has it
        as a line of level INFO."""
        return self._last_round

    @property
    def global_step(self) -> int:
        """Local steps that a member makes that has been there from the beginning: newcomers and checkpoints know it,
        too. For learning rates, and as the number of a step in logs."""
        return self._admission.steps_before + self._local_steps

    @property
    def shares(self) -> range:
        """This member's part of one stream that all members share: a number for each local step that is left in this
        round. Give the first one to `DataPlan.batch` at each step, or all of them to a loader at the start of a round.

        No number is given twice, however many members join, are lost, or come back. A member that is lost, or joins
        late in the round, leaves out `sync_every` numbers at most. A run that goes on from a checkpoint of the middle
        of a round may give the numbers of that one round again. Changes in `step` only. Of the ranks of a site, those
        of its first rank count: broadcast them.
        """
        admission = self._admission
        begin = admission.shares_before
        return range(
            begin + self._local_steps * admission.size + admission.rank,
            begin + self.sync_every * admission.size,
            admission.size,
        )

    @property
    def local_steps(self) -> int:
        """Of this member in this round."""
        return self._local_steps

    @property
    def error_norms(self) -> list[float]:
        """Root mean square of what error feedback owes, by 32 MiB of parameters."""
        return [norm for each in self._sums for norm in each.error_norms]

    @property
    def prefetched(self) -> PrefetchInfo | None:
        """What was fetched before this member was let in the last time; None if it was connected already."""
        return self._admission.prefetched

    def outer_parameters(self) -> dict[str, torch.Tensor]:
        """Copies of Θ by name, on the parameters' devices: the group's model, for `load_state_dict` and evaluation."""
        outer: dict[str, torch.Tensor] = {}
        for fragment in self._fragments:
            outer.update(fragment.outer())
        return outer

    def outer_model(self) -> dict[str, torch.Tensor]:
        """As `outer_parameters`, and copies of all else that the model saves, for a strict `load_state_dict`: the
        group's buffers, frozen parameters, further names of tied weights. What is "local" is this member's own."""
        model = {**self.outer_parameters(), **self._elected.model()}
        for fragment in self._fragments:
            model.update(fragment.outer(buffers=True))
        for name, tensor in (*self._content.frozen, *self._content.local_buffers()):
            model.setdefault(name, shard(tensor).clone())
        for name, first in self._content.aliases().items():
            model[name] = model[first]
        return model

    def digest(self) -> str:
        """Of all that members have alike: equal at all of them between two rounds. Does not block for others.

        It covers the outer state with averaged buffers and counters, frozen parameters, the shape of the inner
        optimizer and the other settings; what is "local" is not in it.
        """
        frozen = self._content.frozen_digest()
        digest = self._admission.state.digest()
        return sha256(f"{digest} {frozen}".encode()).hexdigest()[:32] if frozen else digest

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Of the inner optimiser."""
        self.inner.zero_grad(set_to_none=set_to_none)

    @abstractmethod
    def step(self) -> bool:
        """An inner step, and what the group does after it; says whether an outer step was made."""

    def state_dict(self) -> dict[str, Any]:
        """All that this member needs to go on: parameters, inner optimiser, Θ, M, Δ, counters. Does not block.

        With error_feedback, what is owed is not in it (`error_norms` tells how much that is). Raises FloatingPointError
        if the group's parameters are not finite.
        """
        self._bad_numbers.refuse_outer("nothing is saved")
        return {
            "class": type(self).__name__,
            "inner": self.inner.state_dict(),
            "tensors": {
                **{name: tensor.clone() for name, tensor in self._kept().items()},
                **self._elected.user_state(),
            },
            "weights": [each.weight for each in self._sums],
            "revision": self._admission.state.revision,
            "outer_steps": self.outer_steps,
            "weight_sum": self._admission.weight_sum,
            "local_steps": self._local_steps,
            "steps_before": self._admission.steps_before,
            "shares_before": self._admission.shares_before,
            "phase": self._phase(),
            "error_norms": self.error_norms,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Goes on from a `state_dict()`. All members call it after equally many steps, with those of one moment.

        Blocks as `step` does. To start a run from checkpoints of several moments give them to the constructor. Raises
        ValueError, before anything has changed, if it is of another model; it names tensors and shapes.
        """
        self._check_saved(saved, "the checkpoint")
        for each in self._sums:
            each.drain()
        self._admission.state.withdraw()
        self._load(saved)
        self._admission.set_progress(self._trained_at, int(saved["phase"]))
        self._enter()

    # --------------------------------------------------------------------------------------- for subclasses

    @abstractmethod
    def _enter(self) -> None:
        """Comes in, at the beginning or after loading; ends where local steps come next."""

    @abstractmethod
    def _phase(self) -> int:
        """The shared position in the round from which this member would go on."""

    def _kept(self) -> dict[str, torch.Tensor]:
        """The tensors of a checkpoint, not copied."""
        kept = self._elected.kept()
        for fragment in self._fragments:
            kept.update(fragment.kept())
        return kept

    def _check_saved(self, saved: Mapping[str, Any], source: str) -> None:
        expected = {**self._kept(), **self._elected.user_state()}
        check_checkpoint(saved, source, expected, type(self).__name__, len(self._sums))

    def _begin(self, resume: Resume) -> None:
        """At the end of the constructor."""
        if resume is not None:
            saved, source = read_checkpoint(resume)
            self._check_saved(saved, source)
            try:
                self._load(saved)
            except ValueError as error:
                raise ValueError(f"{source} does not fit the inner optimizer: {error}") from error
            self._resumed_at = self._trained_at
        self._enter()
        self._members_then = self._admission.members()
        self._ended_at = time.monotonic()
        self._bad_numbers.refuse_outer("they are what this run would begin with; start from others")

    def _load(self, saved: dict[str, Any]) -> None:
        self.inner.load_state_dict(saved["inner"])
        for name, tensor in self._kept().items():
            tensor.copy_(saved["tensors"][name])
        self._elected.load_user_state(saved["tensors"])
        for each, weight in zip(self._sums, saved["weights"]):
            each.weight = weight
        self._local_steps = int(saved["local_steps"])
        self._trained_at = int(saved["outer_steps"])
        self._admission.progress[0] = self._trained_at
        self._admission.progress[1] = int(saved["phase"])
        self._admission.progress[2] = int(saved["weight_sum"])
        self._admission.progress[3] = int(saved["steps_before"])
        self._admission.progress[4] = int(saved["shares_before"])
        self._admission.state.revision = int(saved["revision"])

    def _come_in(self) -> bool:
        """Joins; says whether what this member has learnt since the last outer step still counts.

        If not, it begins with L = Θ and nothing to add.
        """
        self._admission.join()
        self._check_resume()
        if self._trained_at == self.outer_steps:
            return True
        for fragment, each in zip(self._fragments, self._sums):
            fragment.restart()
            each.weight = 0
            each.is_left_out = False
        self._elected.put_back()
        self._local_steps = 0
        self._trained_at = self.outer_steps
        return False

    def _check_resume(self) -> None:
        """A checkpoint that is not what the group goes on from is not given up without a word."""
        given, self._resumed_at = self._resumed_at, None
        if given is None or given == self.outer_steps:
            return
        if given < self.outer_steps:
            _log.warning(
                "the checkpoint given as resume is of outer step %d, and the group is at %d: its state was taken instead",
                given,
                self.outer_steps,
            )
            return
        self.comm.close()
        raise RuntimeError(
            f"the checkpoint given as resume is of outer step {given}, and the group that this peer has joined is at "
            f"{self.outer_steps}: to go on would lose {given - self.outer_steps} outer steps. Its communicator is closed, "
            "so that the others go on. To go on from the checkpoint, end the others, and start all with min_peers, so "
            "that none begins without it; to go on from the group, give no resume"
        )

    def _ask_weight(self, index: int) -> float:
        """Asks for the weight of what fragment `index` reduces next; gives the scale for its values."""
        weight = 1 if self._settings.weight is None else self._settings.weight()
        if weight < 0:
            raise ValueError("a weight must be 0 or more")
        self._sums[index].weight = weight
        return weight / self._settings.weight_unit

    # ------------------------------------------------------------------------------------------ the outer step

    def _average(self, index: int, total: int) -> int:
        """Makes the average of a fragment's sum; gives the sum of the weights. 0: there is nothing to make a step with,
        also if the average is not finite: it is dropped, by all members alike."""
        self._admission.note_names()
        present = self._sums[index].present(self._admission.names)
        good = self._bad_numbers.average(index, total, present)
        self._report(index, good, present)
        return good

    def _report(self, index: int, total: int, present: Present) -> None:
        """Makes `last_round`: before the progress is set."""
        everybody = [*present.counted, *present.idle, *present.left_out]
        if self._admission.has_enough(len(everybody)):
            self._admission.last_seen = everybody
        members = self._admission.members()
        before = members if self._members_then is None else self._members_then
        sent, received = self.bytes_sent, self._bytes_received
        info, now = self._sums[index].largest, time.monotonic()
        self._last_round = Round(
            outer_steps=self.outer_steps + (total > 0),
            made_step=total > 0,
            fragment=index,
            counted=present.counted,
            idle=present.idle,
            left_out=present.left_out,
            joined=[name for peer_id, name in members.items() if peer_id not in before],
            lost=[name for peer_id, name in before.items() if peer_id not in members],
            weight=total,
            plan=self._settings.plan.name if info is None else info.plan.name,
            plan_reason="" if info is None else info.plan_reason,
            local_s=max(0.0, self._called_at - self._ended_at),
            group_s=now - self._called_at,
            wait_s=0.0 if info is None else info.wait_us / 1e6,
            bytes_sent=sent - self._bytes_then[0],
            bytes_received=received - self._bytes_then[1],
        )
        self._members_then, self._bytes_then = members, (sent, received)
        _log.info("%s", self._last_round)

    @property
    def _bytes_received(self) -> int:
        return self._admission.bytes_received + sum(each.bytes_received for each in self._sums)

    # ------------------------------------------------------------------------------------------------ calls

    def _attempt(self, call: Callable[[], T], mark: Callable[[], int] = lambda: 0) -> tuple[Fate, T | None]:
        """Makes a call with the group, and says how it ended: for all ranks of the site, if there is one.

        mark: of a call that ended well; the ranks of a site shall have the same. After OUT this member is out of the
        run. Raises what nothing mends.
        """
        result: T | None = None
        try:
            result = call()
            fate, own_mark = Fate.DONE, mark()
            self._counted = own_mark or self._counted
        except HawserError as error:
            fate, own_mark = (Fate.OUT if self._admission.survive(error) else Fate.AGAIN), 0
        return self._admission.of_the_site(fate, own_mark), result

    def _finish(self, index: int) -> int | None:
        """Waits for the sum of a fragment in the background and makes the average of it; gives the sum of the weights.

        None: this member has to come in anew. The others' input is lost with them if nobody is left: the average is
        that of this member then.
        """
        each, fragment = self._sums[index], self._fragments[index]
        self._called_at = time.monotonic()

        def finish() -> int:
            try:
                return each.finish()
            except TooFewPeers:
                fragment.take_own()
                return each.take_own()

        while True:
            fate, total = self._attempt(finish, lambda: each.mark)
            if fate == Fate.OUT:
                return None
            if fate == Fate.DONE:
                break
            each.start()
        assert total is not None
        return self._average(index, total)
