#!/usr/bin/env python3
"""Tables from lines "label world bytes ms cpu_s_per_gib" on standard input, one table per world size. A line
"turn N" goes before what was measured in turn N, in which each library ran once.

A label "name:variant" is one way to run `name`: the row of `name` shows, size by size, the way with the least
median time. Labels that begin with "hawser" are Hawser's, others are its peers.
"""
import statistics
import sys
from collections import defaultdict

MIB = 1 << 20
RATIO_SIZES = (64 * MIB, 256 * MIB)
SMALL_MAX = 64 << 10
MS, CPU = 0, 1


def size_text(size):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or size % 1024 or unit == "GiB":
            return f"{size} {unit}"
        size //= 1024


def read(lines):
    """{world: {label: {bytes: {turn: [(ms, cpu)]}}}}, in the order in which labels came."""
    figures = defaultdict(lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(list))))
    turn = 1
    for line in lines:
        words = line.split()
        if words[:1] == ["turn"]:
            turn = int(words[1])
        elif len(words) == 5:
            figures[int(words[1])][words[0]][int(words[2])][turn].append((float(words[3]), float(words[4])))
    return figures


class Cell:
    """What one way of running a library took for one size."""

    def __init__(self, variant, by_turn):
        everything = [pair for pairs in by_turn.values() for pair in pairs]
        self.variant = variant
        self.number = len(everything)
        self.ms = statistics.median(ms for ms, _ in everything)
        self.cpu = statistics.median(cpu for _, cpu in everything)
        self.turns = {turn: [statistics.median(column) for column in zip(*pairs)] for turn, pairs in by_turn.items()}


def best_rows(by_label):
    """{name: {bytes: Cell}}"""
    rows = defaultdict(dict)
    for label, by_size in by_label.items():
        name, _, variant = label.partition(":")
        for size, by_turn in by_size.items():
            cell = Cell(variant, by_turn)
            if size not in rows[name] or cell.ms < rows[name][size].ms:
                rows[name][size] = cell
    return rows


def ratio_text(over, under, column):
    """The median over the turns, so that a machine that is busier in one turn than in another does not matter
    much, and from where to where it goes."""
    ratios = [over.turns[turn][column] / under.turns[turn][column] for turn in over.turns if turn in under.turns]
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def print_world(world, by_label):
    rows = best_rows(by_label)
    sizes = sorted({size for row in rows.values() for size in row})
    cpu_sizes = [size for size in sizes if size in RATIO_SIZES] or sizes[-1:]
    print(f"\n{world} peers: median ms per all-reduce, and CPU seconds per GiB of all processes together\n")
    width = max(len(name) for name in rows) + 2
    heads = [size_text(size) for size in sizes] + ["CPU " + size_text(size) for size in cpu_sizes]
    print(" " * width + "".join(f"{head:>13}" for head in heads))
    for name, row in rows.items():
        cells = [f"{row[size].ms:.3f}" if size in row else "-" for size in sizes]
        cells += [f"{row[size].cpu:.2f}" if size in row else "-" for size in cpu_sizes]
        print(f"{name:<{width}}" + "".join(f"{cell:>13}" for cell in cells))
    for name, row in rows.items():
        if any(row[size].variant for size in row):
            print(f"  {name} by size: " + ", ".join(row[size].variant for size in sizes if size in row))

    peers = [name for name in rows if not name.startswith("hawser")]
    for name in (name for name in rows if name.startswith("hawser")):
        for size in cpu_sizes:
            rivals = [peer for peer in peers if size in rows[peer]]
            if size not in rows[name] or not rivals:
                continue
            own = rows[name][size]
            fast = min(rivals, key=lambda peer: rows[peer][size].ms)
            frugal = min(rivals, key=lambda peer: rows[peer][size].cpu)
            print(f"  {name}, {size_text(size)}: throughput {ratio_text(rows[fast][size], own, MS)} of {fast}'s, "
                  f"CPU time {ratio_text(own, rows[frugal][size], CPU)} of {frugal}'s")
        small = [f"{size_text(size)} {rows[name][size].ms:.3f} ms" for size in sizes
                 if size <= SMALL_MAX and size in rows[name]]
        if small:
            print(f"  {name}, small: " + ", ".join(small))
    counts = {cell.number for row in rows.values() for cell in row.values()}
    print(f"  measurements behind each median: {min(counts)}" + (f" to {max(counts)}" if len(counts) > 1 else ""))


def main():
    figures = read(sys.stdin)
    if not figures:
        sys.exit("no measurements")
    for world in sorted(figures):
        print_world(world, figures[world])


main()
