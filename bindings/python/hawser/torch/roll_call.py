"""Who took part in a sum, and how: numbers that are summed along with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["Part", "Present", "RollCall"]

_SLOTS = 128
_TABLES = 2
_SLOTS_OF_NUMBER = 4
_BITS = 5
"""Of a slot for each part: 31 members that share it."""


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

    There are two tables of slots, by different bits of the ids, which are random: of eight members two share a slot of
    one table in every fifth group, and of both in one of 600. Only then names are joined by "or". Four slots share one
    int64.
    """

    NUMBERS = _TABLES * _SLOTS // _SLOTS_OF_NUMBER

    def __init__(self, own: torch.Tensor, total: torch.Tensor) -> None:
        """Two int64 tensors of NUMBERS elements: what this member adds, and the sum."""
        self._own = own
        self._total = total

    def sign(self, peer_id: int, part: Part) -> None:
        """Before the sum."""
        self._own.zero_()
        for slot in _slots_of(peer_id):
            number, place = divmod(slot, _SLOTS_OF_NUMBER)
            self._own[number] += 1 << (_BITS * (place * len(Part) + part))

    @property
    def members(self) -> int:
        """After the sum: how many signed."""
        return sum(count for (slot, _), count in self._counts().items() if slot < _SLOTS)

    def read(self, names: Mapping[int, str]) -> Present:
        """After the sum. `names`: of all members that are known, by id."""
        present = Present()
        into = {Part.COUNTS: present.counted, Part.IDLE: present.idle, Part.LEFT_OUT: present.left_out}
        counts = self._counts()
        for (slot, part), count in counts.items():
            if slot >= _SLOTS:
                continue  # of the second table, which tells those of one slot of the first apart
            known = [
                name
                for peer_id, name in names.items()
                if _slots_of(peer_id)[0] == slot and all((each, part) in counts for each in _slots_of(peer_id))
            ]
            into[part] += known if len(known) == count else [" or ".join(known) or "an unknown member"] * count
        return present

    def _counts(self) -> dict[tuple[int, Part], int]:
        """How many took which part in which slot of either table; none of zero."""
        counts = {}
        for number, value in enumerate(self._total.tolist()):
            for place in range(_SLOTS_OF_NUMBER if value else 0):
                for part in Part:
                    count = value >> (_BITS * (place * len(Part) + part)) & ((1 << _BITS) - 1)
                    if count:
                        counts[number * _SLOTS_OF_NUMBER + place, part] = count
        return counts


def _slots_of(peer_id: int) -> tuple[int, int]:
    """In each table, counted through both."""
    return peer_id % _SLOTS, _SLOTS + peer_id // _SLOTS % _SLOTS
