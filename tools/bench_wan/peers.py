"""Gloo and OpenMPI in a lab: the same network, size and type, one process per host."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from lab import HostLine, Network, Programs, run_in_lab, say
from series import MIB, Call, Series, problem_of, report

GLOO_ALGORITHMS = ("ring_chunked", "halving_doubling")
# mpirun finds all hosts by these.
SUBNET = "10.77.0.0/16"
HERE = Path(__file__).resolve().parent


def taker(series: Series, size: int) -> Callable[[HostLine], None]:
    """Reads timed_rounds.hpp's lines: label, world, bytes, ms, CPU seconds per GiB."""

    def take(line: HostLine) -> None:
        words = line.text.split()
        if len(words) != 5 or not words[0].startswith(("gloo", "openmpi")):
            return
        seconds = float(words[3]) / 1e3
        series.calls.append(Call(len(series.calls) + 1, seconds, line.since_s - seconds))
        if size >= MIB:
            say(f"  call {len(series.calls)}: {seconds:.2f} s")

    return take


def reduce_with_gloo(
    programs: Programs, network: Network, *, algorithm: str, size: int, calls: int, limit_s: int
) -> Series:
    way = f"Gloo ({algorithm})"
    say(f"{network}: {way}")
    series = Series(way)
    with tempfile.TemporaryDirectory() as store:
        run = run_in_lab(
            programs.wan,
            network,
            [programs.gloo, "{i}", "{hosts}", store, str(size), str(calls), "{address}", algorithm],
            limit_s=limit_s,
            on_line=taker(series, size),
        )
    series.problem = problem_of(run, limit_s, done=len(series.calls) == calls)
    return report(series, run, network)


def mpirun(programs: Programs, hosts: int, size: int, calls: int) -> list[str]:
    addresses = ",".join(f"10.77.0.{host + 1}" for host in range(hosts))
    parameters = {
        "plm_rsh_agent": str(HERE / "openmpi_agent.sh"),
        "plm_rsh_no_tree_spawn": "1",
        "oob_tcp_if_include": SUBNET,
        "btl_tcp_if_include": SUBNET,
        "pml": "ob1",
        "btl": "tcp,self",
        # Who waits gives the processor to the hosts that share it.
        "mpi_yield_when_idle": "1",
    }
    command = ["mpirun", "--allow-run-as-root", "--leave-session-attached", "--bind-to", "none", "--host", addresses]
    for name, value in parameters.items():
        command += ["--mca", name, value]
    return [*command, "-np", str(hosts), programs.openmpi, "openmpi", str(size), str(calls), "call-by-call"]


def reduce_with_openmpi(
    programs: Programs, network: Network, *, hosts: int, size: int, calls: int, limit_s: int
) -> Series:
    way = "OpenMPI"
    say(f"{network}: {way}")
    series = Series(way)
    with tempfile.TemporaryDirectory() as folder:
        for host in range(1, hosts):
            os.mkfifo(Path(folder) / f"10.77.0.{host + 1}")
        run = run_in_lab(
            programs.wan,
            network,
            ["unshare", "--uts", str(HERE / "openmpi_host.sh"), *mpirun(programs, hosts, size, calls)],
            limit_s=limit_s,
            environment={**os.environ, "BENCH_WAN_FOLDER": folder},
            on_line=taker(series, size),
        )
    series.problem = problem_of(run, limit_s, done=len(series.calls) == calls)
    return report(series, run, network)


def reduce_with_peers(
    programs: Programs, network: Network, *, hosts: int, size: int, calls: int, limit_s: int
) -> list[Series]:
    """The best of Gloo's algorithms, and OpenMPI; of those that are there."""
    found: list[Series] = []
    if programs.gloo:
        tried = [
            reduce_with_gloo(programs, network, algorithm=name, size=size, calls=calls, limit_s=limit_s)
            for name in GLOO_ALGORITHMS
        ]
        found.append(min(tried, key=lambda series: (not series.settled, series.median_s or series.first_s or math.inf)))
    if programs.openmpi:
        found.append(
            reduce_with_openmpi(programs, network, hosts=hosts, size=size, calls=calls, limit_s=limit_s)
        )
    return found
