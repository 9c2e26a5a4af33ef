#!/usr/bin/env python3
"""All-reduces of tensors on a device beside those of tensors on the host, in turn in one run. Each member is a process
of this machine. Results are checked. Prints a table in Markdown. Needs the Python package, and torch for --device cuda.

    python tools/bench_device.py --gbit 200                        the simulated device, loopback
    python tools/bench_device.py --device cuda --beside gloo       all members on one GPU
    python tools/bench_device.py --wire-mbit 1000                  a slow wire: a relay between two members, no root
    python tools/bench_device.py --wan one-slow --hawser-wan build/release/bin/hawser-wan      a lab (docs/wan.md)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hawser
from bench_wan.lab import Network, run_in_lab
from device_bench.figures import markdown, matmul_markdown, problems_in, rows_of
from device_bench.member import run_member
from device_bench.payload import SCHEMES
from device_bench.relay import relays
from hawser._cli import tool

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_of(text: str) -> int:
    try:
        size = int(text[:-1]) * UNITS[text[-1]] if text[-1:] in UNITS else int(text)
    except ValueError:
        size = 0
    if size < 4 or size % 4:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give multiples of 4 bytes such as 4096, 64K or 16M")
    return size


def scheme_name(text: str) -> str:
    if text not in SCHEMES:
        raise argparse.ArgumentTypeError(f"{text!r} is no quantisation; there are {', '.join(SCHEMES)}")
    return text


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def listed(of: Any) -> Any:
    return lambda text: [of(word) for word in text.split(",")]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--world", type=positive, default=2)
    add("--device", choices=("sim", "cuda", "cpu"), default="sim", help="cpu: torch's, to check this program")
    add("--gbit", type=float, default=0.0, help="of the simulated bus each way (default: as fast as the host)")
    add("--sizes", type=listed(size_of), default="16M,64M,256M")
    add("--quantize", type=listed(scheme_name), default="none", help=f"some of {','.join(SCHEMES)}")
    add("--rounds", type=positive, default=5)
    add("--beside", choices=("gloo",), default="", help="torch.distributed's Gloo on such tensors")
    add("--matmul", action="store_true", help="also matrix products on the device while all-reduces run")
    add("--wire-mbit", type=float, default=0.0, help="each way, between two members")
    add("--wan", default="", help="a spec of the lab, instead of loopback; needs root")
    add("--hawser-wan", default="build/release/bin/hawser-wan", help="the lab's program")
    add("--timeout", type=positive, default=3600, help="seconds, for all")
    add("--json", type=Path, help="also writes all figures there")
    # What members are told.
    for name in ("--member", "--port"):
        add(name, type=int, default=None, help=argparse.SUPPRESS)
    for name in ("--master", "--listen", "--advertise", "--gloo-file"):
        add(name, default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.matmul and given.device == "sim":
        parser.error("the simulated device multiplies no matrices; give --device cuda")
    if given.wire_mbit and (given.world != 2 or given.wan or given.beside):
        parser.error("--wire-mbit is for Hawser between two members; give --wan for more")
    return given


def environment(given: argparse.Namespace) -> dict[str, str]:
    folder = str(Path(__file__).parent)
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))}
    if given.device == "sim":
        # Both tensors of the largest size, and the scratch of a call.
        mib = max(given.sizes) // (1 << 20) * 6 + 1024
        rate = f",gbit={given.gbit:g}" if given.gbit else ""
        found["HAWSER_DEVICE"] = f"sim:devices=1,delay_us=0,mib={mib}{rate}"
    return found


def command(*options: str) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], *options]


def run_on_loopback(given: argparse.Namespace, gloo_file: str) -> list[str]:
    """What the members print, in lines."""
    wires = relays(given.wire_mbit) if given.wire_mbit else []
    members: list[subprocess.Popen[str]] = []

    def end_all() -> None:
        for process in members:
            process.kill()

    def output_of(process: subprocess.Popen[str]) -> str:
        output, _ = process.communicate()
        if process.returncode:
            # The others would wait for it.
            end_all()
        return output

    with hawser.Master("127.0.0.1:0") as master:
        for member in range(given.world):
            options = ["--member", str(member), "--master", master.address, "--listen", "127.0.0.1"]
            options += ["--gloo-file", gloo_file]
            if wires:
                options += ["--advertise", wires[member].address, "--port", str(wires[member].port)]
            members.append(
                subprocess.Popen(command(*options), env=environment(given), stdout=subprocess.PIPE, text=True)
            )
        watch = threading.Timer(given.timeout, end_all)
        watch.start()
        with ThreadPoolExecutor(given.world) as pool:
            outputs = list(pool.map(output_of, members))
        watch.cancel()
    if any(process.returncode for process in members):
        statuses = ", ".join(str(process.returncode) for process in members)
        raise SystemExit(f"bench_device: members failed, with the statuses {statuses}; their errors are above")
    return [line for output in outputs for line in output.splitlines()]


def run_in_wan(given: argparse.Namespace, gloo_file: str) -> list[str]:
    """The same, with each member in a host of its own."""
    options = ["--member", "{i}", "--master", "{master}", "--listen", "{address}", "--gloo-file", gloo_file]
    run = run_in_lab(
        given.hawser_wan,
        Network(given.wan),
        command(*options),
        options=["--hosts", str(given.world), "--master", "--hawser", tool()],
        limit_s=given.timeout,
        environment=environment(given),
    )
    if run.status:
        print(run.tail(), file=sys.stderr)
        raise SystemExit(run.status)
    return [line.text for line in run.lines]


def main() -> int:
    given = parse()
    if given.member is not None:
        run_member(given)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        run = run_in_wan if given.wan else run_on_loopback
        lines = run(given, str(Path(folder) / "gloo"))
    told = [json.loads(line) for line in lines if line.startswith("{")]
    matmuls = [facts for facts in told if facts["kind"] == "matmul"]
    told = [facts for facts in told if facts["kind"] != "matmul"]
    rows = rows_of(told, given.gbit)
    print(markdown(rows, given.beside))
    for facts in matmuls:
        print("\n" + matmul_markdown(facts))
    problems = problems_in(told, given.world)
    for problem in problems:
        print(f"bench_device: {problem}", file=sys.stderr)
    if given.json:
        given.json.write_text(json.dumps({"rows": [row.as_json() for row in rows], "matmul": matmuls}, indent=2) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
