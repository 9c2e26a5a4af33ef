"""Who took part in a sum, and how: numbers that are summed along with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["Part", "Present", "RollCall"]

_SLOTS = 128
_SLOTS_OF_NUMBER = 4
_BITS = 5
"""Of a slot for each part: 31 members, of the same id modulo 128."""


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

    Four slots share one int64. Ids count upwards, so those of a group meet in one slot only after 128 arrivals. Both are
    named then.
    """

    NUMBERS = _SLOTS // _SLOTS_OF_NUMBER

    def __init__(self, own: torch.Tensor, total: torch.Tensor) -> None:
        """Two int64 tensors of NUMBERS elements: what this member adds, and the sum."""
        self._own = own
        self._total = total

    def sign(self, peer_id: int, part: Part) -> None:
        """Before the sum."""
        self._own.zero_()
        number, place = divmod(peer_id % _SLOTS, _SLOTS_OF_NUMBER)
        self._own[number] = 1 << (_BITS * (place * len(Part) + part))

    @property
    def members(self) -> int:
        """After the sum: how many signed."""
        return sum(count for _, _, count in self._counts())

    def read(self, names: Mapping[int, str]) -> Present:
        """After the sum. `names`: of all members that are known, by id."""
        present = Present()
        into = {Part.COUNTS: present.counted, Part.IDLE: present.idle, Part.LEFT_OUT: present.left_out}
        for slot, part, count in self._counts():
            known = [name for peer_id, name in names.items() if peer_id % _SLOTS == slot]
            if count == 1 and len(known) == 1:
                into[part].append(known[0])
            else:
                into[part] += [" or ".join(known) or "an unknown member"] * count
        return present

    def _counts(self) -> Iterator[tuple[int, Part, int]]:
        """Slot, part, and how many took it there; none of zero."""
        for number, value in enumerate(self._total.tolist()):
            for place in range(_SLOTS_OF_NUMBER if value else 0):
                for part in Part:
                    count = value >> (_BITS * (place * len(Part) + part)) & ((1 << _BITS) - 1)
                    if count:
                        yield number * _SLOTS_OF_NUMBER + place, part, count
