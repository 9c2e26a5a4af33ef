"""Row 6: what an outage and a drop of one link's rate do to reduces that are under way."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from lab import Network, say, write_spec
from rows import Context
from series import MIB, Call, Series, reduce_with_hawser
from table import Line

HOSTS = """
summary = "four hosts on 100 Mbit/s, 20 ms apart"
[[hosts]]
count = 4
up_mbit = 100
down_mbit = 100
[[paths]]
from = "*"
to = "*"
delay_ms = 20
[[paths]]
from = 0
to = 1
delay_ms = 20
rate_mbit = 100
"""
LINK_EVENT = """
[[events]]
at_s = {at_s:.2f}
from = 0
to = 1
{change}
"""
OUTAGE_SIZE = 64 * MIB
OUTAGE_S = 2.0
# Which call shall be hit; what goes before it settles.
HIT_CALL = 3
# Begins and ends of calls are known as well as this.
MARGIN_S = 0.4
TRIES = 3
DROP_SIZE = 32 * MIB
DROP_AT_S = 15.0
DROP_CALLS = 10
# Of the time before. Who goes on over the slow link as before takes more than three times as long.
ADAPTED = 1.5


def outage_spec(folder: Path, at_s: float) -> Network:
    events = LINK_EVENT.format(at_s=at_s, change="outage = true")
    events += LINK_EVENT.format(at_s=at_s + OUTAGE_S, change="outage = false")
    return write_spec(folder, "four hosts, outage", HOSTS + events)


def end_of(call: Call) -> float:
    return call.begin_s + call.seconds


def hit_by(series: Series, at_s: float) -> Call | None:
    """The call that surely had begun when the outage began, and had not ended before its end."""
    for call in series.calls:
        if call.begin_s + MARGIN_S <= at_s and at_s + OUTAGE_S + MARGIN_S <= end_of(call):
            return call
    return None


def median_of(calls: list[Call]) -> float:
    return statistics.median(call.seconds for call in calls)


def times_text(calls: list[Call]) -> str:
    return ", ".join(f"{call.seconds:.1f}" for call in calls)


def outage(context: Context, folder: Path) -> Line:
    """The first run has no outage: when its third call was under way is when the outage comes in the others."""
    quiet_network = write_spec(folder, "four hosts", HOSTS)
    quiet = reduce_with_hawser(context.programs, quiet_network, size=OUTAGE_SIZE, calls=HIT_CALL + 1)
    title = f"four hosts of 100 Mbit/s, link out for {OUTAGE_S:g} s"
    aim = "no abort, at most 3 s more"
    if quiet.problem:
        return Line(6, title, "Hawser, undisturbed", quiet, None, "", aim)
    model = quiet.calls[HIT_CALL - 1]
    undisturbed = median_of(quiet.settled)
    for attempt in range(TRIES):
        at_s = model.begin_s + (0.3 + 0.15 * attempt) * model.seconds
        network = outage_spec(folder, at_s)
        series = reduce_with_hawser(context.programs, network, size=OUTAGE_SIZE, calls=HIT_CALL + 2)
        quiet.warnings += series.warnings
        if series.problem:
            return Line(6, title, "Hawser", series, None, f"aborted; calls: {times_text(series.calls)} s", aim)
        hit = hit_by(series, at_s)
        if hit is None:
            say(f"  the outage at {at_s:.1f} s fell between two calls; once more")
            continue
        reached = (
            f"no abort; {at_s - hit.begin_s:.1f} s into call {hit.number}, which took {hit.seconds:.1f} s, "
            f"{hit.seconds - undisturbed:.1f} s more than undisturbed ones; all: {times_text(series.calls)} s"
        )
        return Line(6, title, "Hawser, undisturbed", quiet, None, reached, aim)
    quiet.problem = f"the outage missed all calls {TRIES} times"
    return Line(6, title, "Hawser, undisturbed", quiet, None, "", aim)


def rate_drop(context: Context, folder: Path) -> Line:
    spec = HOSTS + LINK_EVENT.format(at_s=DROP_AT_S, change="rate_mbit = 10")
    network = write_spec(folder, "four hosts, rate drop", spec)
    series = reduce_with_hawser(context.programs, network, size=DROP_SIZE, calls=DROP_CALLS)
    title = "four hosts of 100 Mbit/s, one link falls to 10 Mbit/s, 32 MiB"
    aim = "the second call after it adapts"
    before = [call for call in series.settled if end_of(call) + MARGIN_S < DROP_AT_S]
    after = [call for call in series.calls if call.begin_s > DROP_AT_S]
    if not before or not after:
        series.problem = series.problem or "too few calls before or after the drop"
        return Line(6, title, "Hawser", series, None, f"calls: {times_text(series.calls)} s", aim)
    usual = median_of(before)
    adapted = next((n for n, call in enumerate(after, 1) if call.seconds <= ADAPTED * usual), None)
    text = "never in this run" if adapted is None else f"call {adapted} after it"
    during = [call for call in series.calls if call not in after and end_of(call) + MARGIN_S >= DROP_AT_S]
    reached = (
        f"within {ADAPTED:g} times the time before: {text}; before {times_text(before)} s, "
        f"during {times_text(during) or '-'} s, after {times_text(after)} s"
    )
    shown = Series("Hawser", series.calls[:1] + before, series.problem, series.warnings)
    return Line(6, title, "Hawser, before", shown, None, reached, aim)


def events(context: Context) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        return [outage(context, Path(folder)), rate_drop(context, Path(folder))]
