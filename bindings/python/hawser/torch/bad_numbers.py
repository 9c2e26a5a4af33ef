"""What becomes of numbers that are not finite: they count for nothing, they are named, and they are never committed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser.torch import arithmetic
from hawser.torch.admission import Admission
from hawser.torch.fragment import Fragment
from hawser.torch.reduction import GroupSum
from hawser.torch.roll_call import Present
from hawser.torch.site import shard

__all__ = ["BadNumbers", "OnBad", "check_on_bad"]

OnBad = Literal["leave-out", "raise", "take"]
"""What to do with a difference of this member that is not finite."""

_NAMES_MAX = 8
_FRUITLESS_MAX = 4
"""So many reductions in a row may come to nothing because of numbers that are not finite."""
_log = logging.getLogger("hawser")


def check_on_bad(on_bad: str) -> None:
    """Raises ValueError if there is no such choice."""
    if on_bad not in ("leave-out", "raise", "take"):
        raise ValueError(f'on_bad is {on_bad!r}; give "leave-out", "raise" or "take"')


class BadNumbers:
    """Looks at what a member gives, at the group's average, and at the outer parameters."""

    def __init__(
        self,
        on_bad: OnBad,
        weight_unit: int,
        admission: Admission,
        fragments: Sequence[Fragment],
        sums: Sequence[GroupSum],
        inner_optimizer: Any,
    ) -> None:
        check_on_bad(on_bad)
        self._on_bad = on_bad
        self._weight_unit = weight_unit
        self._admission = admission
        self._fragments = fragments
        self._sums = sums
        self._inner = inner_optimizer
        self._fruitless = 0  # reductions in a row that came to nothing

    def leaves_out(self, index: int) -> bool:
        """With Δ of a fragment taken: whether it is not finite, at a rank of the site. It counts for nothing then, and
        what this member's inner optimiser remembers is mended. The caller sets L = Θ in all fragments."""
        each, fragment = self._sums[index], self._fragments[index]
        each.is_left_out = False
        if self._on_bad == "take":
            return False
        bad = fragment.bad_differences()
        if not self._admission.any_of_the_site(bool(bad)):
            return False
        where = f"in {_listed(bad)}" if bad else "at another rank of this site"
        if self._on_bad == "raise":
            raise FloatingPointError(
                f"what this member has learnt since outer step {self._admission.outer_steps} is not finite {where}, "
                'and on_bad is "raise"; the others go on when its communicator is closed'
            )
        fragment.clear_delta()
        each.weight = 0
        each.is_left_out = True
        reset = _mend_inner(self._inner)
        _log.warning(
            "what this member has learnt since outer step %d is not finite %s: it is left out of the next outer step, "
            "and goes on from the group's parameters%s",
            self._admission.outer_steps,
            where,
            f"; its inner optimizer's state of {reset} parameters begins anew" if reset else "",
        )
        return True

    def average(self, index: int, total: int, present: Present) -> int:
        """Makes the average of a fragment's sum; gives the sum of the weights, or 0 if the average is not finite: all
        members drop it alike. Says who was left out."""
        self._say_left_out(present)
        fragment = self._fragments[index]
        if total > 0:
            fragment.divide(total / self._weight_unit)
            if not self._admission.any_of_the_site(not fragment.has_good_average()):
                self._fruitless = 0
                return total
            _log.error(
                "the average after outer step %d is not finite: it is dropped, with what %s have learnt. %s",
                self._admission.outer_steps,
                ", ".join(present.counted) or "the members",
                'Members with on_bad="take" give their numbers unseen'
                if self._on_bad == "take"
                else "What this member gave is finite; the sum may be too large for its type on the wire",
            )
        elif not present.left_out:
            return 0
        self._fruitless += 1
        if self._fruitless >= _FRUITLESS_MAX:
            raise FloatingPointError(
                f"{self._fruitless} reductions in a row had no finite result (the last one after outer step "
                f"{self._admission.outer_steps}; left out: {', '.join(present.left_out) or 'nobody'}). The group's "
                "parameters are those of the last good outer step; lower the learning rate, or look for the cause in "
                "the data"
            )
        return 0

    def _say_left_out(self, present: Present) -> None:
        if present.left_out:
            _log.warning(
                "outer step %d is made without %s: what was learnt there is not finite",
                self._admission.outer_steps + 1,
                ", ".join(present.left_out),
            )

    def refuse_outer(self, what_then: str) -> None:
        """Raises FloatingPointError if Θ or M is not finite."""
        bad = [name for fragment in self._fragments for name in fragment.bad_outer()]
        if bad:
            raise FloatingPointError(f"the group's parameters are not finite in {_listed(bad)}: {what_then}")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")


def _mend_inner(optimizer: Any) -> int:
    """Zeros for what an optimiser remembers of a parameter, where that is not finite; says of how many parameters."""
    count = 0
    for state in getattr(optimizer, "state", {}).values():
        if not isinstance(state, dict):
            continue
        floats = [shard(each) for each in state.values() if torch.is_tensor(each) and each.is_floating_point()]
        if all(arithmetic.is_finite(each) for each in floats):
            continue
        count += 1
        for each in floats:
            if each.dim() > 0:  # a step count stays
                each.zero_()
    return count
