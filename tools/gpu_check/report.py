#!/usr/bin/env python3
"""Writes gpu_report.md from what the steps of tools/gpu_check.sh left in a folder, and prints what failed or missed its
aim. The exit status is 0 only if every step passed that could be run here."""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20
# On an H200.
DIGEST_BYTES_PER_S = 1e12
BANDWIDTH_SHARE = 0.75


@dataclass
class Figure:
    what: str
    aim: str
    found: str
    met: bool | None = None  # None: there is no aim, or nothing was found.

    def line(self) -> str:
        met = {None: "-", True: "yes", False: "no"}[self.met]
        return f"| {self.what} | {self.aim} | {self.found} | {met} |"


def first_line(*command: str, pattern: str = ".+") -> str:
    """Of what a program prints, what the pattern matches first; "none" if it is not here."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return "none"
    found = re.search(pattern, said.stdout)
    return found[0].strip() if found else "none"


def processor() -> str:
    with open("/proc/cpuinfo") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    return found[1] if found else platform.machine()


def machine(device: str) -> list[tuple[str, str]]:
    torch = "import torch; print(torch.__version__, 'CUDA', torch.version.cuda)"
    rows = [
        ("processor", processor()),
        ("compiler", first_line("c++", "--version")),
        ("nvcc", first_line("nvcc", "--version", pattern=r"release [\d.]+")),
        ("Python", platform.python_version()),
        ("torch", first_line(sys.executable, "-c", torch)),
        ("commit", first_line("git", "rev-parse", "--short", "HEAD")),
    ]
    if device == "cuda":
        query = "--query-gpu=name,memory.total,driver_version"
        rows.insert(0, ("GPU, memory, driver", first_line("nvidia-smi", query, "--format=csv,noheader")))
    return rows


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def kernel_figures(kernels: list[dict[str, Any]]) -> list[Figure]:
    bandwidth = f"{kernels[0]['bytes_per_s'] / 1e12:.2f} TB/s" if kernels else "not measured"
    figures = [Figure("memory bandwidth, copies on the device", "", bandwidth)]
    for kernel in kernels[1:]:
        name, rate, share = kernel["name"], kernel["bytes_per_s"], kernel["share"]
        found = f"{rate / 1e12:.2f} TB/s, {share:.2f} of it"
        if name.startswith("digest"):
            figures.append(Figure(name, "1 TB/s on an H200", found, rate >= DIGEST_BYTES_PER_S))
        elif name.split()[0].rstrip(",") in ("pack", "unpack", "quantise"):
            figures.append(Figure(name, f"{BANDWIDTH_SHARE} of it", found, share >= BANDWIDTH_SHARE))
        else:
            figures.append(Figure(name, "", found))
    return figures


def ratio_figure(what: str, aim: str, found: float | None, met: Callable[[float], bool] | None = None) -> Figure:
    if found is None:
        return Figure(what, aim, "not measured")
    return Figure(what, aim, f"{found:.2f}", met(found) if met else None)


def reduce_figures(out: Path) -> list[Figure]:
    """Of the largest size."""

    def largest(bench: str) -> dict[str, Any]:
        rows = [row for row in read_json(out / f"{bench}.json").get("rows", []) if row["quantize"] == "none"]
        return max(rows, key=lambda row: int(row["size"]), default={})

    loopback, wire = largest("loopback"), largest("wire")
    size = f"{max(loopback.get('size', 0), wire.get('size', 0)) // MIB} MiB"
    gloo = loopback["device_ms"] / loopback["gloo_ms"] if "gloo_ms" in loopback else None
    matmul = next(iter(read_json(out / "matmul.json").get("matmul", [])), None)
    product = matmul["matmul_beside_ms"] / matmul["matmul_alone_ms"] if matmul else None
    reduce = matmul["beside_ms"] / matmul["alone_ms"] if matmul else None
    what = f"all-reduce of {size}, "
    return [
        ratio_figure(what + "1 Gbit/s, device over host", "1.05", wire.get("ratio"), lambda ratio: ratio <= 1.05),
        ratio_figure(what + "loopback, device over host", "1.1", loopback.get("ratio"), lambda ratio: ratio <= 1.1),
        ratio_figure(what + "loopback, over Gloo with CUDA tensors", "below 1", gloo, lambda ratio: ratio < 1),
        ratio_figure("a matrix product while all-reduces run, over its time alone", "", product),
        ratio_figure("an all-reduce while matrix products run, over its time alone", "", reduce),
    ]


def tables_of(log: Path) -> list[str]:
    return [line for line in log.read_text(errors="replace").splitlines() if line.startswith("|")]


def steps_of(out: Path) -> dict[str, tuple[str, str, str]]:
    """Name -> how it ended, seconds, what it was. The last run of each step counts."""
    steps = {}
    path = out / "steps.tsv"
    for line in path.read_text().splitlines() if path.exists() else []:
        name, ended, seconds, what = line.split("\t")
        steps[name] = (ended, seconds, what)
    return steps


def report(out: Path, device: str) -> tuple[str, list[str]]:
    """The text, and all that is not as it should be."""
    steps = steps_of(out)
    facts = machine(device)
    figures = kernel_figures(read_json(out / "kernels.json").get("kernels", [])) + reduce_figures(out)
    first = "**No GPU was used:** the simulated device."
    if device == "cuda":
        first = f"**Measured on hardware:** {facts[0][1]}."
    lines = [first, "", "| machine | |", "| --- | --- |", *(f"| {what} | {is_} |" for what, is_ in facts)]
    lines += ["", "| step | what | ended | seconds |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {what} | {ended} | {seconds} |" for name, (ended, seconds, what) in steps.items()]
    if device == "cuda":
        lines += ["", "| figure | aim | found | met |", "| --- | --- | --- | --- |"]
        lines += [figure.line() for figure in figures]
    for name, title in (
        ("kernel_bench", "Kernels"),
        ("loopback", "All-reduces, two peers, loopback"),
        ("wire", "All-reduces, two peers, 1 Gbit/s each way"),
        ("matmul", "All-reduces beside matrix products"),
    ):
        if name in steps and (tables := tables_of(out / f"{name}.log")):
            lines += ["", f"{title}:", "", *tables]
    wrong = [f"{name}: {ended}" for name, (ended, _, _) in steps.items() if ended not in ("passed", "skipped")]
    if device == "cuda":
        wrong += [f"missed: {f.what}: {f.found}, and the aim is {f.aim}" for f in figures if f.met is False]
    return "\n".join(lines) + "\n", wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", required=True)
    given = parser.parse_args()
    text, wrong = report(given.out, given.device)
    path = given.out / "gpu_report.md"
    path.write_text(text)
    for what in wrong:
        print(f"gpu_check: {what}")
    print(f"gpu_check: {'all passed' if not wrong else f'{len(wrong)} things are wrong'}; the report is {path}")
    return 1 if any(not what.startswith("missed") for what in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
