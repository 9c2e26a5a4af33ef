"""Row 15: rates, delays and losses that change every ten seconds, for ten minutes."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bounds import plans_of
from lab import write_spec
from rows import Context
from series import MIB, Call, Series, reduce_with_hawser
from table import Line

HOSTS = 4
PHASES = 60
PHASE_S = 10
SIZE = 32 * MIB
SEED = 17
RATES_MBIT = (60, 100, 150, 200, 300)
DELAYS_MS = (10, 80)
LOSSES = (0.0, 0.0, 1e-4, 1e-3)
# The lab begins before the first call.
MARGIN_S = 60


@dataclass(frozen=True)
class Phase:
    rates_mbit: tuple[int, ...]  # Of each host, up and down.
    pairs: dict[tuple[int, int], tuple[int, float]]  # Delay in ms and loss.

    def hosts(self) -> str:
        return "\n".join(
            f"[[hosts]]\nup_mbit = {rate}\ndown_mbit = {rate}\nqueue_kib = 3906" for rate in self.rates_mbit
        )

    def paths(self) -> str:
        every = '[[paths]]\nfrom = "*"\nto = "*"\ndelay_ms = 50\n'
        return every + "\n".join(
            f"[[paths]]\nfrom = {a}\nto = {b}\ndelay_ms = {delay}\nloss = {loss}"
            for (a, b), (delay, loss) in self.pairs.items()
        )

    def events(self, at_s: int) -> str:
        lines = [
            f"[[events]]\nat_s = {at_s}\nhost = {host}\nup_mbit = {rate}\ndown_mbit = {rate}"
            for host, rate in enumerate(self.rates_mbit)
        ]
        lines += [
            f"[[events]]\nat_s = {at_s}\nfrom = {a}\nto = {b}\ndelay_ms = {delay}\nloss = {loss}"
            for (a, b), (delay, loss) in self.pairs.items()
        ]
        return "\n".join(lines)

    def spec(self) -> str:
        return f'summary = "four hosts in changing weather"\n{self.hosts()}\n{self.paths()}\n'


def weather() -> list[Phase]:
    """Each host and each pair keeps what it has in half of the changes."""
    chance = random.Random(SEED)
    pairs = [(a, b) for a in range(HOSTS) for b in range(a + 1, HOSTS)]

    def rate() -> int:
        return chance.choice(RATES_MBIT)

    def path() -> tuple[int, float]:
        return chance.randint(*DELAYS_MS), chance.choice(LOSSES)

    phases = [Phase(tuple(rate() for _ in range(HOSTS)), {pair: path() for pair in pairs})]
    while len(phases) < PHASES:
        last = phases[-1]
        phases.append(
            Phase(
                tuple(rate() if chance.random() < 0.5 else kept for kept in last.rates_mbit),
                {pair: path() if chance.random() < 0.5 else kept for pair, kept in last.pairs.items()},
            )
        )
    return phases


def possible(call: Call, bounds_s: list[float]) -> float:
    """How many calls the moving bound allows in the time of this one."""
    calls = 0.0
    at_s, end_s = call.begin_s, call.begin_s + call.seconds
    while at_s < end_s:
        phase = min(int(at_s // PHASE_S), len(bounds_s) - 1)
        until_s = end_s if phase == len(bounds_s) - 1 else min(end_s, (phase + 1) * PHASE_S)
        calls += (until_s - at_s) / bounds_s[phase]
        at_s = until_s
    return calls


def changes_of_plan(series: Series) -> tuple[int, int]:
    """How many there were, and how many of them went back to the plan before with the next call or the one after."""
    kinds = [call.plan.split()[0] for call in series.calls if call.plan]
    changed = [n for n in range(1, len(kinds)) if kinds[n] != kinds[n - 1]]
    back = [n for n in changed if kinds[n - 1] in kinds[n + 1 : n + 3]]
    return len(changed), len(back)


def changing_weather(context: Context) -> list[Line]:
    phases = weather()
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bounds_s: list[float] = []
        for number, phase in enumerate(phases):
            still = write_spec(folder, f"phase {number}", phase.spec())
            bounds_s.append(plans_of(context.programs.wan, still.spec, [SIZE]).least_s(SIZE))
        events = "\n".join(phase.events(PHASE_S * (number + 1)) for number, phase in enumerate(phases[1:]))
        network = write_spec(folder, "changing weather", phases[0].spec() + events + "\n")
        seconds = PHASES * PHASE_S
        series = reduce_with_hawser(
            context.programs, network, size=SIZE, seconds=seconds - PHASE_S, limit_s=seconds + MARGIN_S
        )
        best = sum(possible(call, bounds_s) for call in series.settled)
        changed, back = changes_of_plan(series)
        kinds = Counter(call.plan.split()[0] for call in series.calls if call.plan)
        names = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        share = 100 * len(series.settled) / best if best else 0
        reached = (
            f"{share:.0f} % of the moving bound in {len(series.settled)} calls ({names}); "
            f"{changed} changes of plan, {back} of them to and fro"
        )
        lines.append(Line(15, "changing weather, 32 MiB", "Hawser", series, None, reached, "75 %"))
    return lines
