"""The table of all rows, as Markdown, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

from series import Series

HEADS = (
    "row",
    "network",
    "all-reduce",
    "first call, s",
    "median of the next, s",
    "calls",
    "bound, s",
    "reached",
    "aim",
)


@dataclass
class Line:
    row: int
    network: str
    what: str
    series: Series
    bound_s: float | None = None
    reached: str = ""
    aim: str = ""
    may_lack: bool = False  # A peer's, or something that the command does not know.

    def cells(self) -> list[str]:
        problem = self.series.problem
        reached = "; ".join(filter(None, [self.reached, problem]))
        return [
            str(self.row),
            self.network,
            self.what,
            seconds_text(self.series.first_s),
            seconds_text(self.series.median_s),
            str(len(self.series.settled)),
            seconds_text(self.bound_s),
            reached,
            self.aim,
        ]


def seconds_text(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3g}"


def ratio_text(over: float | None, under: float | None) -> str:
    return "-" if over is None or under is None or under == 0 else f"{over / under:.3g}"


def percent_text(part: float | None, whole: float | None) -> str:
    return "-" if part is None or not whole else f"{100 * part / whole:.0f} %"


def compared(line: Line, hawser: Series) -> Line:
    """Says how a peer's time compares."""
    line.may_lack = True
    slower = line.series.median_s or line.series.first_s
    if slower is not None:
        by = "" if line.series.median_s else ", by the first call"
        line.reached = f"{ratio_text(slower, hawser.median_s)} times Hawser's time{by}"
    return line


def markdown(lines: Sequence[Line]) -> str:
    rows = [list(HEADS), ["---"] * len(HEADS), *(line.cells() for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def predictions(lines: Sequence[Line]) -> str:
    """How calls from the third one on came out; the second one is predicted from what the first has shown alone.

    Without those of rows 12 and 15, which are disturbed on purpose.
    """
    series = [line.series for line in lines if line.row not in (12, 15)]
    calls = [call for one in series for call in one.calls if call.number > 2 and call.predicted_s > 0]
    if not calls:
        return "predictions: none from a third call on"
    near = [call for call in calls if abs(call.seconds / call.predicted_s - 1) <= 0.2]
    return f"predictions: {len(near)} of {len(calls)} calls, from the third of each run on, took within 20 % of them"


def as_json(lines: Sequence[Line]) -> str:
    return json.dumps([dataclasses.asdict(line) for line in lines], indent=1)
