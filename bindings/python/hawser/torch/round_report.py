"""What an outer step was: who took part, how the sum travelled, how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Round"]


@dataclass(frozen=True)
class Round:
    """One reduction of the DiLoCo family and what became of it; `last_round` of these classes.

    Members are named as their `Communicator(name=...)` says.
    """

    outer_steps: int
    """That the group has made, this one included."""
    made_step: bool
    """Whether there was a step: not if nobody had anything to add, or if the average was not finite."""
    fragment: int
    """Of StreamingDiLoCo; else 0."""
    counted: list[str]
    """Members whose progress is in the average."""
    idle: list[str]
    """Members that had nothing to add: they came in just before, or their weight was 0."""
    left_out: list[str]
    """Members whose progress was not finite."""
    joined: list[str]
    """Members since the round before."""
    lost: list[str]
    """Members no more since the round before."""
    weight: int
    """The sum of all members' weights."""
    plan: str
    """How the largest part travelled, such as "RING". With sync_every=1 and plain SGD: what was asked for."""
    plan_reason: str
    """Why, in words; empty where that is not known."""
    local_s: float
    """This member's local steps, since the end of its last group call."""
    group_s: float
    """From this member's call until the average was there."""
    wait_s: float
    """Of group_s, until all members had called."""
    bytes_sent: int
    """Payload of this member since the round before, synchronisations included."""
    bytes_received: int
    """Likewise."""

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, for logs."""
        return asdict(self)

    def __str__(self) -> str:
        """In one line."""
        said = [f"outer step {self.outer_steps}" if self.made_step else f"no step after outer step {self.outer_steps}"]
        said.append(f"weight {self.weight} of {_names(self.counted)}")
        for what in ("idle", "left_out", "joined", "lost"):
            if names := getattr(self, what):
                said.append(f"{what.replace('_', ' ')}: {_names(names)}")
        said.append(f"{self.local_s:.3g} s local, {self.group_s:.3g} s in the group ({self.wait_s:.3g} s waiting)")
        said.append(f"{self.bytes_sent} bytes sent, {self.bytes_received} received")
        said.append(f"plan {self.plan_reason or self.plan}")  # the reason begins with the plan
        return "; ".join(said)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nobody"
