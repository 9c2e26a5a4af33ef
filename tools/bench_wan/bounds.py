"""What a spec allows and what the planner makes of it, as `hawser-wan plan` prints it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

HEAD = re.compile(r"^(\d+) hosts, longest round trip ([\d.e+-]+) ms$")


@dataclass(frozen=True)
class PlanRow:
    chosen: bool
    predicted_s: float
    bandwidth_s: float  # Without delays: what the busiest link takes.


@dataclass
class Plans:
    hosts: int
    longest_round_trip_s: float
    rows: dict[int, dict[str, PlanRow]] = field(default_factory=dict)  # By bytes and plan; "least" is the bound.

    def least_s(self, size: int) -> float:
        """No plan takes less: bandwidth alone."""
        return self.rows[size]["least"].bandwidth_s

    def ratio_to_ring(self, size: int) -> float:
        """How much slower the ring is than the best plan, both at what bandwidth allows."""
        return self.rows[size]["ring"].bandwidth_s / self.least_s(size)

    def chosen(self, size: int) -> str:
        return next(name for name, row in self.rows[size].items() if row.chosen)


def plans_of(wan: str, spec: str, sizes: Sequence[int]) -> Plans:
    printed = subprocess.run(
        [wan, "plan", spec, "--sizes", ",".join(map(str, sizes))], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    head = HEAD.match(printed[0])
    if not head:
        raise ValueError(f"`hawser-wan plan {spec}` began with: {printed[0]}")
    plans = Plans(int(head[1]), float(head[2]) / 1e3)
    for line in printed[2:]:
        size, name, choice, predicted_ms, bandwidth_ms = line.split()[:5]
        plans.rows.setdefault(int(size), {})[name] = PlanRow(
            choice == "chosen", float(predicted_ms) / 1e3, float(bandwidth_ms) / 1e3
        )
    return plans
