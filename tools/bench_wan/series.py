"""What one way of reducing took in one network, call by call."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab import LabRun, Network, Programs, run_in_lab, say

MIB = 1 << 20
# bytes, call, ms, expected ms, commit ms, Mbit/s, plan
CPU_ROW = re.compile(r"^CPU: [\d.]+ s of all members in \d+ calls, ([\d.]+) s per GiB and member$")
ROUTER_FRAMES = re.compile(r"^router: .*, (\d+) frames, late by ")
MEMBER_ROW = re.compile(r"^\s*[\d.]+ [KMGT]?i?B\s+(\d+)((?:\s+[\d.]+){4})\s+(.*)$")


@dataclass(frozen=True)
class Call:
    number: int  # From 1.
    seconds: float  # At the slowest member, from the call to its return.
    begin_s: float  # Since the lab's start; late by what told of the call's end: some round trips.
    plan: str = ""
    predicted_s: float = 0  # 0: nothing was.


@dataclass
class Series:
    way: str
    calls: list[Call] = field(default_factory=list)
    problem: str = ""  # Why there are not as many calls as were asked for.
    warnings: list[str] = field(default_factory=list)  # Of the router.
    cpu_s_per_gib: float | None = None  # Of one member, in calls.
    frames_per_gib: float | None = None  # That crossed the lab, all members together.

    @property
    def first_s(self) -> float | None:
        return self.calls[0].seconds if self.calls else None

    @property
    def settled(self) -> list[Call]:
        """All but the first, which knows nothing of the links."""
        return self.calls[1:]

    @property
    def median_s(self) -> float | None:
        return statistics.median(call.seconds for call in self.settled) if self.settled else None


def problem_of(run: LabRun, limit_s: int, done: bool = False) -> str:
    """`done`: all calls were told, so what was cut off was only the taking leave of each other."""
    if run.timed_out:
        return "" if done else f"ended after {limit_s} s"
    return f"failed with status {run.status}" if run.status else ""


def report(series: Series, run: LabRun, network: Network) -> Series:
    series.warnings += run.warnings
    for warning in run.warnings:
        say(f"  {warning}")
    if run.status and not run.timed_out:
        say(f"  {series.way} in {network} {series.problem}:\n{run.tail()}")
    return series


def reduce_with_hawser(
    programs: Programs,
    network: Network,
    *,
    way: str = "Hawser",
    size: int = 64 * MIB,
    calls: int = 0,
    seconds: int | None = None,
    options: Sequence[str] = (),
    limit_s: int = 240,
) -> Series:
    """`hawser bench member` in every host, with a master in host 0. It checks all results.

    `seconds`: calls for so long, instead of a number of them.
    """
    say(f"{network}: {way}")
    series = Series(way)

    def take(text: str, since_s: float) -> None:
        match = MEMBER_ROW.match(text)
        if not match:
            return
        seconds, predicted_s = (float(word) / 1e3 for word in match[2].split()[:2])
        series.calls.append(Call(int(match[1]), seconds, since_s - seconds, match[3], predicted_s))
        if size >= MIB:
            say(f"  call {match[1]}: {seconds:.2f} s  {match[3]}")

    amount = ["--rounds", str(calls)] if seconds is None else ["--seconds", str(seconds)]
    run = run_in_lab(
        programs.wan,
        network,
        [programs.hawser, "bench", "member", "--master", "{master}", "--world", "{commands}", "--listen", "{address}"]
        + ["--sizes", str(size), *amount, *options],
        options=["--master", "--hawser", programs.hawser],
        limit_s=limit_s,
        on_line=lambda line: take(line.text, line.since_s),
    )
    series.problem = problem_of(run, limit_s)
    if seconds is None and not series.problem and len(series.calls) != calls:
        series.problem = f"printed {len(series.calls)} calls instead of {calls}"
    if not series.problem:
        note_costs(series, run, size)
    return report(series, run, network)


def note_costs(series: Series, run: LabRun, size: int) -> None:
    gib = size * len(series.calls) / (1 << 30)
    for line in run.lines:
        if match := CPU_ROW.match(line.text):
            series.cpu_s_per_gib = float(match[1])
    for text in run.others:
        if match := ROUTER_FRAMES.match(text):
            series.frames_per_gib = int(match[1]) / gib
