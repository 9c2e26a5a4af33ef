"""Rows 1 to 5 and 7: one network after the other, without events."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from bounds import Plans, plans_of
from lab import Network, Programs, run_in_lab, say
from peers import reduce_with_peers
from series import MIB, Series, problem_of, reduce_with_hawser, report
from table import Line, compared, percent_text, ratio_text

SIZE = 64 * MIB
SMALL = 4 << 10
SMALL_CALLS = 20
# 20 Mbit/s: 64 MiB would take half a minute per call and say the same.
THIN_SIZE = 16 * MIB
# A peer that does not end its calls in it is told as far as it came.
PEER_LIMIT_S = 60
PEER_CALLS = {SIZE: 3, THIN_SIZE: 2, SMALL: 8}
OPTIMIZED = re.compile(r"^optimize-topology: (\d+) ms (.*)$")


@dataclass(frozen=True)
class Context:
    programs: Programs
    rounds: int  # Calls after the first.

    def plans(self, network: Network, size: int) -> Plans:
        return plans_of(self.programs.wan, network.spec, [size])

    def hawser(self, network: Network, way: str = "Hawser", *options: str, size: int = SIZE) -> Series:
        calls = 1 + self.rounds
        return reduce_with_hawser(self.programs, network, way=way, size=size, calls=calls, options=options)

    def peer_lines(self, row: int, network: Network, hawser: Series, plans: Plans, size: int = SIZE) -> list[Line]:
        found = reduce_with_peers(
            self.programs, network, hosts=plans.hosts, size=size, calls=PEER_CALLS[size], limit_s=PEER_LIMIT_S
        )
        return [compared(Line(row, str(network), series.way, series), hawser) for series in found]


def lossy(context: Context) -> list[Line]:
    lines: list[Line] = []
    for congestion_control in ("cubic", "bbr"):
        network = Network("lossy", congestion_control)
        plans = context.plans(network, SIZE)
        bound = plans.least_s(SIZE)
        series = context.hawser(network)
        reached = percent_text(bound, series.median_s) + " of the bound"
        lines.append(Line(1, str(network), "Hawser", series, bound, reached, "85 %"))
        lines += context.peer_lines(1, network, series, plans)
    return lines


def long_ways(context: Context) -> list[Line]:
    """Few losses and many, with both congestion controls; the aims are of the first call and of later ones."""
    lines: list[Line] = []
    for spec, aims in (
        ("long-fat", {"bbr": "4.2; 3.15 s", "cubic": "4.2; 3.2 s"}),
        ("long-lossy", {"bbr": "8; 4.5 s", "cubic": "20; 10 s"}),
    ):
        for congestion_control, aim in aims.items():
            network = Network(spec, congestion_control)
            bound = context.plans(network, SIZE).least_s(SIZE)
            series = context.hawser(network)
            reached = percent_text(bound, series.median_s) + " of the bound"
            lines.append(Line(11, str(network), "Hawser", series, bound, reached, aim))
    return lines


def small_beside_bulk(context: Context) -> list[Line]:
    """A small call alone, and while large ones of another tag are under way."""
    lines: list[Line] = []
    for congestion_control in ("bbr", "cubic"):
        network = Network("long-fat", congestion_control)
        alone: Series | None = None
        for way, options in (("Hawser", ()), ("Hawser, beside 256 MiB", ("--beside", "256M"))):
            series = reduce_with_hawser(
                context.programs, network, way=way, size=SMALL, calls=SMALL_CALLS, options=options
            )
            alone = alone or series
            reached = "" if series is alone else f"{ratio_text(series.median_s, alone.median_s)} times alone"
            lines.append(Line(12, f"{network}, 4 KiB", way, series, None, reached, "1.5" if options else ""))
    return lines


def against_ring(row: int, spec: str, aim: str) -> Callable[[Context], list[Line]]:
    def lines_of(context: Context) -> list[Line]:
        network = Network(spec)
        plans = context.plans(network, SIZE)
        automatic = context.hawser(network)
        ring = context.hawser(network, "Hawser, ring asked for", "--plan", "ring")
        bound = plans.least_s(SIZE)
        reached = (
            f"{ratio_text(ring.median_s, automatic.median_s)} times the ring's throughput "
            f"({plans.ratio_to_ring(SIZE):.2f} by bandwidth alone); "
            f"{percent_text(bound, automatic.median_s)} of the bound"
        )
        ring_bound = plans.rows[SIZE]["ring"].bandwidth_s
        ring_reached = percent_text(ring_bound, ring.median_s) + " of its bound"
        return [
            Line(row, str(network), "Hawser", automatic, bound, reached, aim),
            Line(row, str(network), ring.way, ring, ring_bound, ring_reached),
            *context.peer_lines(row, network, automatic, plans),
        ]

    return lines_of


def small(context: Context) -> list[Line]:
    network = Network("atlantic")
    plans = context.plans(network, SMALL)
    round_trip = plans.longest_round_trip_s
    series = reduce_with_hawser(context.programs, network, size=SMALL, calls=SMALL_CALLS)
    steps = reduce_with_hawser(
        context.programs,
        network,
        way="Hawser, with update-topology",
        size=SMALL,
        calls=SMALL_CALLS,
        options=["--update-topology"],
    )

    def in_round_trips(one: Series) -> str:
        return f"{ratio_text(one.median_s, round_trip)} round trips of {1e3 * round_trip:.0f} ms"

    return [
        Line(4, f"{network}, 4 KiB", "Hawser", series, None, in_round_trips(series), "2.2"),
        Line(4, f"{network}, 4 KiB", steps.way, steps, None, in_round_trips(steps), "2.3"),
        *context.peer_lines(4, network, series, plans, SMALL),
    ]


def quantized(context: Context) -> list[Line]:
    network = Network("thin")
    plans = context.plans(network, THIN_SIZE)
    bound = plans.least_s(THIN_SIZE)
    title = f"{network}, {THIN_SIZE // MIB} MiB"
    plain = context.hawser(network, size=THIN_SIZE)
    lines = [Line(5, title, "Hawser", plain, bound, percent_text(bound, plain.median_s) + " of the bound")]
    for name, aim in (("min-max-8", "3.3"), ("block-8", "3.3"), ("block-4", "6")):
        series = context.hawser(network, f"Hawser, {name}", "--quantize", name, size=THIN_SIZE)
        reached = f"time falls by {ratio_text(plain.median_s, series.median_s)}"
        lines.append(Line(5, title, series.way, series, None, reached, aim))
    return lines + context.peer_lines(5, network, plain, plans, THIN_SIZE)


def homes(context: Context) -> list[Line]:
    options = ("--missing", "67")
    network = Network("home-uplinks", options=options, name="home-uplinks, ten pairs of 15 cut")
    size = 8 * MIB
    bound = 5 * size / (40e6 / 8 * 1448 / 1500)  # All results leave by the uplink of the one that all reach.
    lines: list[Line] = []
    for way, quantize in (("Hawser", ()), ("Hawser, min-max-8", ("--quantize", "min-max-8"))):
        series = context.hawser(network, way, *quantize, size=size)
        reached = "" if quantize else percent_text(bound, series.median_s) + " of the bound"
        lines.append(Line(8, f"{network}, 8 MiB", way, series, None if quantize else bound, reached))
    return lines


def third_missing(context: Context) -> list[Line]:
    """In turns, so that what else the machine does meets both."""
    whole = Network("europe", options=("--hosts", "8"), name="europe, 8 hosts")
    partial = Network("europe", options=("--hosts", "8", "--missing", "33"), name="europe, 8 hosts, 9 pairs of 28 cut")
    with_all, without = Series("Hawser"), Series("Hawser")
    for _ in range(2):
        for network, series in ((whole, with_all), (partial, without)):
            found = context.hawser(network)
            series.calls += found.calls[1 if series.calls else 0 :]
            series.problem = series.problem or found.problem
            series.warnings += found.warnings
    reached = f"{ratio_text(without.median_s, with_all.median_s)} times the time of all pairs"
    return [Line(9, str(whole), "Hawser", with_all), Line(9, str(partial), "Hawser", without, None, reached, "1.15")]


def relayed(context: Context) -> list[Line]:
    """Homes without a relay, then with one that says what it offers, then with one that says nothing."""
    size = 32 * MIB
    uplink_s = size * 8 / 40e6  # Each sends its tensor once.
    lines: list[Line] = []
    alone: Series | None = None
    for way, spec, options in (
        ("Hawser, no relay", "homes", ()),
        ("Hawser, a relay with --mbit 1000", "homes-relay", ("--relay=--mbit 1000",)),
        ("Hawser, a relay", "homes-relay", ("--relay",)),
    ):
        network = Network(spec, options=options, name="eight homes")
        series = context.hawser(network, way, size=size)
        alone = alone or series
        reached = f"{ratio_text(series.median_s, uplink_s)} times S / uplink"
        if series is not alone:
            reached += f"; {ratio_text(alone.median_s, series.median_s)} times faster than without"
        lines.append(Line(10, f"{network}, 32 MiB", way, series, uplink_s, reached, "1.1; 1.5" if options else ""))
    return lines


def optimized(context: Context) -> list[Line]:
    network = Network("atlantic")
    way = "optimize-topology"
    help_text = subprocess.run(
        [context.programs.hawser, "bench", "member", "--help"], check=True, capture_output=True, text=True
    ).stdout
    if "--optimize-topology" not in help_text:
        return [Line(7, str(network), way, Series(way, problem="not there"), None, "", "3 s", may_lack=True)]
    say(f"{network}: {way}")
    limit_s = 120
    run = run_in_lab(
        context.programs.wan,
        network,
        [context.programs.hawser, "bench", "member", "--master", "{master}", "--world", "{hosts}"]
        + ["--listen", "{address}", "--optimize-topology", "--sizes", str(SMALL), "--rounds", "1"],
        options=["--master", "--hawser", context.programs.hawser],
        limit_s=limit_s,
    )
    series = report(Series(way, problem=problem_of(run, limit_s)), run, network)
    told = next(filter(None, (OPTIMIZED.match(line.text) for line in run.lines)), None)
    if told is None:
        series.problem = series.problem or "told no time"
        return [Line(7, str(network), way, series, None, "", "3 s")]
    return [Line(7, str(network), way, series, None, f"{int(told[1]) / 1e3:.2f} s {told[2]}", "3 s")]
