"""Runs one command per host of a lab (`hawser-wan run`) and gives back what they printed, and when."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT = re.compile(r"^hawser-wan: \d+ commands still run after ")
HOST_LINE = re.compile(r"^\[host-(\d+)\] (.*)$")


@dataclass(frozen=True)
class Programs:
    wan: str
    hawser: str
    gloo: str  # "": not there
    openmpi: str


@dataclass(frozen=True)
class Network:
    """A spec by name or file, and TCP's congestion control in all hosts ("": the system's)."""

    spec: str
    congestion_control: str = ""
    name: str = ""  # For people, where the spec is a file or has options.
    options: tuple[str, ...] = ()  # Of the lab.

    def __str__(self) -> str:
        title = self.name or self.spec
        return f"{title}, {self.congestion_control.upper()}" if self.congestion_control else title


@dataclass(frozen=True)
class HostLine:
    since_s: float  # Since shortly before the lab's start.
    host: int
    text: str


@dataclass
class LabRun:
    lines: list[HostLine] = field(default_factory=list)
    # Of the router: the figures are the machine's, not the network's.
    warnings: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # Of the tool.
    others: list[str] = field(default_factory=list)
    status: int = 0

    @property
    def timed_out(self) -> bool:
        return any(TIMEOUT.match(complaint) for complaint in self.complaints)

    def tail(self, count: int = 8) -> str:
        texts = [f"host {line.host}: {line.text}" for line in self.lines] + self.complaints
        return "\n".join("    " + text for text in texts[-count:])


def say(text: str) -> None:
    print(f"bench_wan: {text}", file=sys.stderr, flush=True)


def run_in_lab(
    wan: str,
    network: Network,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    limit_s: int,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[HostLine], None] = lambda line: None,
) -> LabRun:
    """Blocks until all commands have ended, at most `limit_s` and the tool's grace."""
    arguments = [wan, "run", network.spec, "--stop-on-failure", "--timeout", str(limit_s), *network.options, *options]
    if network.congestion_control:
        arguments += ["--cc", network.congestion_control]
    run = LabRun()
    begin = time.monotonic()
    with subprocess.Popen(
        [*arguments, "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        try:
            for text in process.stdout:
                take_line(run, text.rstrip("\n"), time.monotonic() - begin, on_line)
            run.status = process.wait()
        finally:
            # Its hosts go with it.
            process.terminate()
    return run


def take_line(run: LabRun, text: str, since_s: float, on_line: Callable[[HostLine], None]) -> None:
    match = HOST_LINE.match(text)
    if match:
        line = HostLine(since_s, int(match[1]), match[2])
        run.lines.append(line)
        on_line(line)
    elif text.startswith("router: WARNING"):
        run.warnings.append(text)
    elif text.startswith("hawser-wan:"):
        run.complaints.append(text)
    else:
        run.others.append(text)


def write_spec(folder: Path, name: str, text: str) -> Network:
    path = folder / (re.sub(r"\W+", "-", name) + ".toml")
    path.write_text(text)
    return Network(spec=str(path), name=name)
