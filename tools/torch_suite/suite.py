"""Runs PyTorch's own tests of torch.distributed with several backends, and compares: see tools/torch_suite.sh.

Torch's tests choose by the name of the backend what they test. So they are loaded as for gloo, and then told a name
that equals gloo's too: hawser runs the same tests as gloo. Each test is a process that is forked after torch was
imported, which saves most of the time; its ranks are forked from that.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Iterable
from pathlib import Path
from typing import Any

STABLE = Path(__file__).with_name("stable.txt")
OUTCOMES = ("passed", "failed", "skipped")
Outcome = dict[str, Any]
"""backend, world, test, outcome (one of OUTCOMES), seconds, and why: the last line of the error."""


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/torch_suite.sh")
    parser.add_argument("--stable", action="store_true")
    parser.add_argument("--backends", default="")
    parser.add_argument("--worlds", default="")
    parser.add_argument("--bound", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--results", default="")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # this process runs the tests itself
    parser.add_argument("tests", nargs="*")
    given = parser.parse_args(arguments)
    given.backends = given.backends or ("hawser" if given.stable else "gloo,hawser")
    given.worlds = given.worlds or ("2" if given.stable else "2,3")
    if given.stable and not given.tests:
        given.tests = [line for line in STABLE.read_text().split("\n") if line and not line.startswith("#")]
    return given


# ------------------------------------------------------------------------------------- one backend, one number of ranks


def load_tests(backend: str, world: int) -> type[unittest.TestCase]:
    """Torch reads the environment when it is imported, so this can be done once in a process."""
    os.environ.update(BACKEND="gloo", WORLD_SIZE=str(world), TEMP_DIR=tempfile.gettempdir())
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    import torch.multiprocessing
    from torch.testing._internal.distributed import distributed_test

    suite: Any = distributed_test
    close_all = None
    if backend != "gloo":
        suite.BACKEND = Named(backend)
        suite.BACKEND.like = "gloo"
        os.environ["BACKEND"] = backend
        for names in (
            suite.PROFILING_SUPPORTED_BACKENDS,
            suite.CUDA_PROFILING_SUPPORTED_BACKENDS,
            suite.SEND_RECV_PROFILING_SUPPORTED_BACKENDS,
        ):
            names.append(backend)
    if backend == "hawser":
        import hawser.torch.distributed as plugin

        close_all = plugin._close_all

    class Suite(suite.TestDistBackend, suite.DistributedTest._DistTestBase):  # type: ignore[misc]
        def setUp(self) -> None:
            super().setUp()
            self._start_processes(torch.multiprocessing.get_context("fork").Process)

        @classmethod
        def _run(cls, *arguments: Any, **named: Any) -> None:
            try:
                super()._run(*arguments, **named)
            finally:
                if close_all is not None:  # a forked process has no atexit
                    close_all()

    return Suite


def run_test(suite: type[unittest.TestCase], name: str, answer: int) -> None:
    """The body of a test's process: its outcome goes to the file descriptor."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEMP_DIR"] = folder
        result = unittest.TestResult()
        suite(name).run(result)
        errors = [text for _, text in result.errors + result.failures]
        skipped = [reason for _, reason in result.skipped]
        outcome = "failed" if errors else "skipped" if skipped else "passed"
        os.write(answer, json.dumps([outcome, _reason(errors or skipped)]).encode())


def _reason(texts: list[str]) -> str:
    """The line of an error's text that says most: the last that begins with the name of an exception."""
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    said = [line for line in lines if line.partition(":")[0].endswith(("Error", "Broken", "Timeout", "Exception"))]
    inner = [line for line in said if "exited with error code" not in line]
    return (inner or said or lines or [""])[-1][:300]


class Named(str):
    """The name of a backend for torch's tests, which also equals the name of the one whose tests it runs."""

    like: str

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) or other == self.like

    __hash__ = str.__hash__


class Running:
    """A test under way."""

    def __init__(self, suite: type[unittest.TestCase], name: str) -> None:
        self.name = name
        self.began = time.monotonic()
        self._log = tempfile.TemporaryFile()
        self._read, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            with contextlib.suppress(BaseException):
                os.setpgid(0, 0)
                os.close(self._read)
                os.dup2(self._log.fileno(), 1)
                os.dup2(self._log.fileno(), 2)
                run_test(suite, name, write)
            os._exit(0)
        os.close(write)

    def outcome(self, bound_s: float) -> tuple[str, str] | None:
        """None while it runs. Does not block."""
        pid, _ = os.waitpid(self._pid, os.WNOHANG)
        late = time.monotonic() - self.began > bound_s
        if pid == 0 and not late:
            return None
        with contextlib.suppress(ProcessLookupError):  # its ranks too
            os.killpg(self._pid, signal.SIGKILL)
        if pid == 0:
            os.waitpid(self._pid, 0)
        said = b"" if pid == 0 else self._said()
        os.close(self._read)
        if said:
            outcome, reason = json.loads(said)
            return outcome, reason
        return "failed", f"no end within {bound_s:g} s" if pid == 0 else "its process died"

    def _said(self) -> bytes:
        os.set_blocking(self._read, False)
        with contextlib.suppress(BlockingIOError):
            return os.read(self._read, 65536)
        return b""


def run_one(backend: str, world: int, given: argparse.Namespace) -> None:
    """Runs the tests and prints an outcome a line."""
    suite = load_tests(backend, world)
    names = given.tests or [name for name in dir(suite) if name.startswith("test_")]
    waiting = list(names)
    running: list[Running] = []
    while waiting or running:
        while waiting and len(running) < given.jobs:
            running.append(Running(suite, waiting.pop(0)))
        for each in list(running):
            ended = each.outcome(given.bound)
            if ended is None:
                continue
            running.remove(each)
            seconds = round(time.monotonic() - each.began, 1)
            outcome = {"backend": backend, "world": world, "test": each.name, "seconds": seconds}
            print(json.dumps({**outcome, "outcome": ended[0], "why": ended[1]}), flush=True)
        time.sleep(0.02)


# -------------------------------------------------------------------------------------------------------- comparison


def run_all(given: argparse.Namespace) -> list[Outcome]:
    outcomes = []
    for world in given.worlds.split(","):
        for backend in given.backends.split(","):
            command = [sys.executable, __file__, "--one", "--backends", backend, "--worlds", world]
            command += ["--bound", str(given.bound), "--jobs", str(given.jobs), *given.tests]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    outcome = json.loads(line)
                    outcomes.append(outcome)
                    if given.results:
                        with open(given.results, "a") as kept:
                            kept.write(line)
                    if sys.stderr.isatty():
                        print(outcome["test"], outcome["outcome"], file=sys.stderr)
            if process.returncode:
                sys.exit(f"the tests with {backend} and {world} ranks did not run: exit code {process.returncode}")
    return outcomes


def table(outcomes: Iterable[Outcome]) -> str:
    rows = ["| backend | ranks | " + " | ".join(OUTCOMES) + " |", "| --- | --- | --- | --- | --- |"]
    groups: dict[tuple[str, int], list[str]] = {}
    for each in outcomes:
        groups.setdefault((each["backend"], each["world"]), []).append(each["outcome"])
    for (backend, world), ended in groups.items():
        counts = " | ".join(str(ended.count(outcome)) for outcome in OUTCOMES)
        rows.append(f"| {backend} | {world} | {counts} |")
    return "\n".join(rows)


def behind(outcomes: list[Outcome], first: str = "gloo") -> list[str]:
    """What the first backend passes and another does not."""
    theirs = [each for each in outcomes if each["backend"] == first and each["outcome"] == "passed"]
    passed = {(each["world"], each["test"]) for each in theirs}
    return [
        f"- {each['backend']}, {each['world']} ranks, `{each['test']}`: {each['outcome']}. {each['why']}".rstrip()
        for each in sorted(outcomes, key=lambda each: (each["world"], each["test"]))
        if (each["world"], each["test"]) in passed and each["backend"] != first and each["outcome"] != "passed"
    ]


def main() -> int:
    given = parsed(sys.argv[1:])
    if given.one:
        run_one(given.backends, int(given.worlds), given)
        return 0
    outcomes = run_all(given)
    print(table(outcomes))
    if given.stable:
        failed = [each for each in outcomes if each["outcome"] != "passed"]
        for each in failed:
            print(f"\n{each['test']}: {each['outcome']}. {each['why']}")
        return 1 if failed else 0
    if left := behind(outcomes):
        print("\nPassed by gloo only:\n")
        print("\n".join(left))
    return 0


if __name__ == "__main__":
    sys.exit(main())
