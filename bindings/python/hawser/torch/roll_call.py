"""Who took part in a sum, and how: numbers that are summed along with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["Part", "Present", "RollCall"]

_SLOTS = 256
_BITS = 20
"""Of a slot for each part: a million members."""


class Part(IntEnum):
    """How a member takes part."""

    COUNTS = 0
    IDLE = 1
    """It has nothing to add: it has just come in, or its weight is 0."""
    LEFT_OUT = 2
    """What it has to add is not finite."""


@dataclass(frozen=True)
class Present:
    """Members by the part that they took: their names where these are known."""

    counted: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class RollCall:
    """Members add a number to a slot that their id gives; the sum says who they were.

    Ids count upwards, so those of a group meet in one slot only after 256 arrivals. Both are named then.
    """

    SLOTS = _SLOTS

    def __init__(self, own: torch.Tensor, total: torch.Tensor) -> None:
        """Two int64 tensors of SLOTS elements: what this member adds, and the sum."""
        self._own = own
        self._total = total

    def sign(self, peer_id: int, part: Part) -> None:
        """Before the sum."""
        self._own.zero_()
        self._own[peer_id % _SLOTS] = 1 << (_BITS * part)

    def read(self, names: Mapping[int, str]) -> Present:
        """After the sum. `names`: of all members that are known, by id."""
        present = Present()
        for slot in self._total.nonzero().flatten().tolist():
            value = int(self._total[slot])
            known = [name for peer_id, name in names.items() if peer_id % _SLOTS == slot]
            for part, into in zip(Part, (present.counted, present.idle, present.left_out)):
                count = value >> (_BITS * part) & ((1 << _BITS) - 1)
                if count == 1 and len(known) == 1:
                    into.append(known[0])
                elif count:
                    into += [" or ".join(known) or "an unknown member"] * count
        return present
