"""Rows 13 and 14: the automatic choices against each fixed one, what they cost, and large calls."""

from __future__ import annotations

from dataclasses import dataclass

from lab import Network
from rows import SIZE, THIN_SIZE, Context
from series import MIB, Series
from table import Line, percent_text, ratio_text

CONNECTIONS = (1, 2, 4, 8, 16)
LARGE = 256 * MIB


@dataclass(frozen=True)
class Case:
    network: Network
    size: int = SIZE

    def __str__(self) -> str:
        return str(self.network) + ("" if self.size == SIZE else f", {self.size // MIB} MiB")


CASES = (
    *(Case(Network(spec, control)) for spec in ("long-fat", "long-lossy", "lossy") for control in ("bbr", "cubic")),
    *(Case(Network(spec)) for spec in ("one-slow", "two-regions", "europe", "atlantic")),
    Case(Network("thin"), THIN_SIZE),
    Case(Network("home-uplinks"), 8 * MIB),
)


def fastest(found: dict[str, Series]) -> tuple[str, Series] | None:
    timed = [(series.median_s, name) for name, series in found.items() if series.median_s and not series.problem]
    return None if not timed else (min(timed)[1], found[min(timed)[1]])


def compared_with(automatic: Series, found: dict[str, Series], what: str) -> str:
    best = fastest(found)
    if best is None:
        return f"no {what} ended"
    name, series = best
    times = ", ".join(f"{one}: {series.median_s:.3g}" for one, series in found.items() if series.median_s)
    return f"{ratio_text(automatic.median_s, series.median_s)} times the best {what}, {name} (s: {times})"


def cost_text(automatic: Series, single: Series) -> str:
    if automatic.cpu_s_per_gib is None or single.cpu_s_per_gib is None:
        return ""
    frames = ratio_text(automatic.frames_per_gib, single.frames_per_gib)
    cpu = ratio_text(automatic.cpu_s_per_gib, single.cpu_s_per_gib)
    thousands = (automatic.frames_per_gib or 0) / 1e3
    return (
        f"{thousands:.0f} thousand frames and {automatic.cpu_s_per_gib:.2f} CPU s per GiB, "
        f"{frames} and {cpu} times those of one connection"
    )


def choices(context: Context) -> list[Line]:
    """All choices are made in turn, network by network, the automatic one first and last."""
    lines: list[Line] = []
    for case in CASES:
        plans = context.plans(case.network, case.size)
        automatic = context.hawser(case.network, size=case.size)
        by_connections = {
            str(count): context.hawser(
                case.network, f"Hawser, {count} connections", "--connections", str(count), size=case.size
            )
            for count in CONNECTIONS
        }
        by_plan = {
            kind: context.hawser(case.network, f"Hawser, {kind}", "--plan", kind, size=case.size)
            for kind in plans.rows[case.size]
            if kind != "least"
        }
        again = context.hawser(case.network, size=case.size)
        automatic.calls += again.calls[1:]
        automatic.problem = automatic.problem or again.problem
        automatic.warnings += again.warnings
        bound = plans.least_s(case.size)
        reached = [
            percent_text(bound, automatic.median_s) + " of the bound",
            compared_with(automatic, by_connections, "fixed number of connections"),
            compared_with(automatic, by_plan, "plan asked for"),
            cost_text(automatic, by_connections["1"]),
        ]
        text = "; ".join(filter(None, reached))
        lines.append(Line(13, str(case), "Hawser", automatic, bound, text, "1.05; 1.1; 1.3"))
    return lines


def large(context: Context) -> list[Line]:
    lines: list[Line] = []
    for congestion_control in ("bbr", "cubic"):
        network = Network("long-fat", congestion_control)
        bound = context.plans(network, LARGE).least_s(LARGE)
        series = context.hawser(network, size=LARGE)
        reached = percent_text(bound, series.median_s) + " of the bound"
        lines.append(Line(14, f"{network}, 256 MiB", "Hawser", series, bound, reached, "13; 12.1 s"))
    return lines
