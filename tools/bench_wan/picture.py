"""The picture in docs/performance.md: connections and throughput, as measured; sizes, delays and plans, as the planner
chooses with all links known."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
# Equal figures make equal files.
matplotlib.rcParams["svg.hashsalt"] = "hawser"
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.colors import ListedColormap  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

from bounds import plans_of  # noqa: E402
from lab import Network, Programs, say  # noqa: E402
from series import MIB, Series, reduce_with_hawser  # noqa: E402

CONNECTIONS = (1, 2, 4, 8, 16, 32)
SIZE = 64 * MIB
LIMIT_S = 120
# Okabe and Ito's, which all eyes can tell apart.
COLOURS = {"cubic": "#0072b2", "bbr": "#d55e00"}
KINDS = {"direct": "#56b4e9", "ring": "#e69f00", "hierarchical": "#009e73"}
SIZES = tuple(4096 << shift for shift in range(17))
DELAYS_MS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 150)
REGIONS = """
summary = "two regions of four, one cable of 300 Mbit/s between them"
[[hosts]]
group = "west"
count = 4
up_mbit = 1000
down_mbit = 1000
[[hosts]]
group = "east"
count = 4
up_mbit = 1000
down_mbit = 1000
[[cables]]
name = "between"
rate_mbit = 300
[[paths]]
from = "*"
to = "*"
delay_ms = 1
[[paths]]
from = "west"
to = "east"
delay_ms = {delay_ms}
cable = "between"
"""


def measured(programs: Programs, congestion_control: str, calls: int, *options: str) -> Series:
    network = Network("lossy", congestion_control)
    way = " ".join(["Hawser", *options])
    return reduce_with_hawser(
        programs, network, way=way, size=SIZE, calls=calls, options=options, limit_s=LIMIT_S
    )


def busy_mbit(series: Series, hosts: int) -> float | None:
    """What each member sends and receives, over the time. What has not ended a second call is drawn by its first."""
    seconds = series.median_s or series.first_s
    return None if seconds is None else 8e-6 * SIZE * 2 * (hosts - 1) / hosts / seconds


def draw_connections(axes: Axes, programs: Programs, calls: int) -> None:
    plans = plans_of(programs.wan, "lossy", [SIZE])
    bound = 8e-6 * SIZE * 2 * (plans.hosts - 1) / plans.hosts / plans.least_s(SIZE)
    for name, colour in COLOURS.items():
        found = {
            count: busy_mbit(measured(programs, name, calls, "--connections", str(count)), plans.hosts)
            for count in CONNECTIONS
        }
        points = [(count, rate) for count, rate in found.items() if rate is not None]
        if points:
            axes.plot(*zip(*points), "o-", color=colour, label=f"{name.upper()}, fixed number")
        automatic = busy_mbit(measured(programs, name, calls), plans.hosts)
        if automatic is not None:
            axes.axhline(automatic, color=colour, linestyle="--", label=f"{name.upper()}, automatic")
    axes.axhline(bound, color="#888888", linestyle=":", label="bound")
    axes.set_xscale("log", base=2)
    axes.set_xticks(CONNECTIONS, [str(count) for count in CONNECTIONS])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections per link")
    axes.set_ylabel("sent by each member, Mbit/s")
    axes.set_title("64 MiB, four hosts, 1 Gbit/s, 50 ms, loss 1e-4", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def chosen_kinds(wan: str) -> list[list[str]]:
    """By delay, then by size."""
    kinds: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for delay_ms in DELAYS_MS:
            spec = Path(folder) / f"{delay_ms}.toml"
            spec.write_text(REGIONS.format(delay_ms=delay_ms))
            plans = plans_of(wan, str(spec), SIZES)
            kinds.append([plans.chosen(size) for size in SIZES])
    return kinds


def edges(values: Sequence[float]) -> list[float]:
    """Of cells around values on a logarithmic axis."""
    middles = [(a * b) ** 0.5 for a, b in zip(values, values[1:])]
    return [values[0] ** 2 / middles[0], *middles, values[-1] ** 2 / middles[-1]]


def draw_choice(axes: Axes, wan: str) -> None:
    names = list(KINDS)
    numbers = [[names.index(kind) for kind in row] for row in chosen_kinds(wan)]
    used = {names[number] for row in numbers for number in row}
    axes.pcolormesh(
        edges(SIZES),
        edges(DELAYS_MS),
        numbers,
        cmap=ListedColormap(list(KINDS.values())),
        vmin=-0.5,
        vmax=len(names) - 0.5,
        rasterized=False,
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = {4 << 10: "4 KiB", 64 << 10: "64 KiB", MIB: "1 MiB", 16 * MIB: "16 MiB", 256 * MIB: "256 MiB"}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    axes.minorticks_off()
    axes.set_xlabel("size of the all-reduce")
    axes.set_ylabel("one-way delay between the regions, ms")
    axes.set_title("plan chosen: two regions of four, cable of 300 Mbit/s", fontsize=10)
    axes.legend(handles=[Patch(color=KINDS[name], label=name) for name in names if name in used], fontsize=8)


def draw(programs: Programs, path: Path, rounds: int) -> None:
    """Blocks for some minutes: it measures."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    draw_choice(right, programs.wan)
    draw_connections(left, programs, 1 + rounds)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    say(f"wrote {path}")
