"""What members told, put together: one row for each size and quantisation, and the table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MIB = 1 << 20


@dataclass
class Row:
    size: int
    quantize: str
    ms: dict[str, list[float]]  # By kind; of each round the slowest member's.
    # Of one member: bytes of one all-reduce, and the most pinned memory until then. None: nobody counts them here.
    down: float | None
    up: float | None
    pinned: int | None
    sent: float
    received: float
    copy_ms: float | None

    def median(self, kind: str) -> float:
        return statistics.median(self.ms[kind])

    def ratio(self) -> float:
        """Of medians, device over host."""
        return self.median("device") / self.median("host")

    def bus_over_wire(self) -> float | None:
        if self.down is None or self.up is None or not self.sent + self.received:
            return None
        return (self.down + self.up) / (self.sent + self.received)

    def over_slower(self) -> float:
        """Of the times that copying and the host's all-reduce take, the device's should be the greater one."""
        return self.median("device") / max(self.median("host"), self.copy_ms or 0.0)

    def as_json(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"size": self.size, "quantize": self.quantize, "ratio": self.ratio()}
        for kind, times in self.ms.items():
            facts[f"{kind}_ms"] = statistics.median(times)
            facts[f"{kind}_best_ms"] = min(times)
        return facts | {"down": self.down, "up": self.up, "sent": self.sent, "received": self.received}


def problems_in(told: list[dict[str, Any]], world: int) -> list[str]:
    """Wrong results, and members whose results differ."""
    found = []
    by_round = defaultdict(list)
    for facts in told:
        what = (facts["kind"], facts["size"], facts["quantize"], facts["turn"])
        by_round[what].append(facts["bits"])
        if facts["problem"]:
            found.append(f"{what}: member {facts['member']}: {facts['problem']}")
    for what, bits in by_round.items():
        if len(bits) != world:
            found.append(f"{what}: {len(bits)} of {world} members told their result")
        elif len(set(bits)) > 1:
            found.append(f"{what}: members have different bits")
    return found


def rows_of(told: Iterable[dict[str, Any]], gbit: float) -> list[Row]:
    """`gbit`: of the bus each way; 0: nobody knows."""
    cases: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for facts in told:
        # Turn 0 opened what is opened lazily.
        if facts["turn"] > 0:
            cases[facts["size"], facts["quantize"]].append(facts)
    rows = []
    for (size, quantize), of_case in cases.items():
        slowest: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for facts in of_case:
            of_kind = slowest[facts["kind"]]
            of_kind[facts["turn"]] = max(of_kind[facts["turn"]], facts["ms"])
        device = [facts for facts in of_case if facts["kind"] == "device" and facts["member"] == 0]

        def median_of(name: str, among: list[dict[str, Any]] = device) -> float | None:
            values = [facts[name] for facts in among if name in facts]
            return statistics.median(values) if values else None

        down, up = median_of("down"), median_of("up")
        copy_ms = max(down, up) * 8e-6 / gbit if gbit and down is not None and up is not None else None
        rows.append(
            Row(
                size=size,
                quantize=quantize,
                ms={kind: list(by_turn.values()) for kind, by_turn in slowest.items()},
                down=down,
                up=up,
                pinned=max((facts["pinned"] for facts in device if "pinned" in facts), default=None),
                sent=median_of("sent") or 0.0,
                received=median_of("received") or 0.0,
                copy_ms=copy_ms,
            )
        )
    return rows


def _mib(count: float | None) -> str:
    return "-" if count is None else f"{count / MIB:.1f}"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _times(row: Row, kind: str) -> str:
    if kind not in row.ms:
        return "-"
    return f"{row.median(kind):.1f} ({min(row.ms[kind]):.1f})"


def markdown(rows: list[Row], beside: str) -> str:
    """Times are medians, and the best ones in brackets."""
    head = ["MiB", "quantised", "host ms", "device ms", "device / host"]
    if beside:
        head += [f"{beside} ms", f"device / {beside}"]
    head += ["down MiB", "up MiB", "sent MiB", "received MiB", "bus / wire"]
    head += ["copy ms", "device / max(host, copy)", "pinned MiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [_mib(row.size), row.quantize, _times(row, "host"), _times(row, "device"), _number(row.ratio())]
        if beside:
            against = row.median("device") / row.median(beside) if beside in row.ms else None
            cells += [_times(row, beside), _number(against)]
        cells += [_mib(row.down), _mib(row.up), _mib(row.sent), _mib(row.received), _number(row.bus_over_wire())]
        cells += [_number(row.copy_ms, 1), _number(row.over_slower()), _mib(row.pinned)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def matmul_markdown(facts: dict[str, Any]) -> str:
    lines = ["| | alone | together | ratio |", "| --- | --- | --- | --- |"]
    for what, alone, beside in (
        ("one product, ms", "matmul_alone_ms", "matmul_beside_ms"),
        (f"all-reduce of {_mib(facts['size'])} MiB, ms", "alone_ms", "beside_ms"),
    ):
        lines.append(f"| {what} | {facts[alone]:.2f} | {facts[beside]:.2f} | {facts[beside] / facts[alone]:.2f} |")
    return "\n".join(lines)
