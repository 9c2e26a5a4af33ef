#!/usr/bin/env python3
"""WAN figures of Hawser, Gloo and OpenMPI; started by tools/bench_wan.sh, which has the options' explanation."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from events import events
from lab import Programs, say
from rows import (
    Context,
    against_ring,
    homes,
    long_ways,
    lossy,
    optimized,
    quantized,
    relayed,
    small,
    small_beside_bulk,
    third_missing,
)
from survey import choices, large
from table import Line, as_json, markdown, predictions
from weather import changing_weather

ROWS: dict[int, Callable[[Context], list[Line]]] = {
    1: lossy,
    2: against_ring(2, "one-slow", "1.6"),
    3: against_ring(3, "two-regions", "1.5"),
    4: small,
    5: quantized,
    6: events,
    7: optimized,
    8: homes,
    9: third_missing,
    10: relayed,
    11: long_ways,
    12: small_beside_bulk,
    13: choices,
    14: large,
    15: changing_weather,
}
# These are asked for by number.
LONG_ROWS = {13, 15}


def row_numbers(text: str) -> list[int]:
    if text == "none":
        return []
    numbers = [int(word) for word in text.split(",")]
    if not set(numbers) <= set(ROWS):
        raise argparse.ArgumentTypeError(f"rows are {', '.join(map(str, ROWS))}")
    return numbers


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench_wan.sh")
    parser.add_argument("--wan", required=True)
    parser.add_argument("--hawser", required=True)
    parser.add_argument("--gloo", default="")
    parser.add_argument("--openmpi", default="")
    parser.add_argument("--only", type=row_numbers, default=[row for row in ROWS if row not in LONG_ROWS])
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    programs = Programs(arguments.wan, arguments.hawser, arguments.gloo, arguments.openmpi)
    context = Context(programs, arguments.rounds)
    begin = time.monotonic()
    lines: list[Line] = []
    for row in arguments.only:
        say(f"row {row} (of {', '.join(map(str, arguments.only))}); {time.monotonic() - begin:.0f} s so far")
        lines += ROWS[row](context)
    if lines:
        print(markdown(lines))
        print(predictions(lines))
    if arguments.json:
        arguments.json.write_text(as_json(lines) + "\n")
    if arguments.picture:
        from picture import draw

        draw(programs, arguments.picture, arguments.rounds)
    failed = [line for line in lines if line.series.problem and not line.may_lack]
    warned = [f"{line.what} in {line.network}" for line in lines if line.series.warnings]
    if warned:
        say(f"the router warned, so these figures are the machine's rather than the network's: {', '.join(warned)}")
    say(f"done after {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
