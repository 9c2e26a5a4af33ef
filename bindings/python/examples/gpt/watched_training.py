"""Training scripts as processes, whose reports are read all the time."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

__all__ = ["Report", "Training", "TrainingFailed", "Watch"]

Report = dict[str, str]
"""What a script says at once: "step 100 tokens 25600 loss 3.1 ..."."""

_STANDBY = """
import runpy, sys
import torch, hawser.torch
torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
print("ready", flush=True)
sys.stdin.readline()
sys.path.insert(0, sys.argv[1])
sys.argv[0:3] = [sys.argv[2]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Imports what takes seconds, says so, and runs the script when it is told to."""

_STACKS_S_MAX = 10.0
_READY_S_MAX = 300.0


class TrainingFailed(RuntimeError):
    """A script ended with an error, or did not end."""


class Training:
    """A script in a process that has imported torch and waits for `begin`."""

    def __init__(self, watch: Watch, name: str, script: Path, *arguments: str) -> None:
        self.name = name
        self.reports: list[Report] = []
        self.said: list[str] = []
        self.was_killed = False
        self._watch = watch
        self._is_ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", _STANDBY, str(script.parent), str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # with the reports in one pipe it could come amid one of them
            text=True,
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    @property
    def last(self) -> Report:
        """The last report; empty before the first one."""
        return self.reports[-1] if self.reports else {}

    def wait_until_ready(self) -> None:
        """Blocks until the imports are done. A process that has ended counts: the watch tells."""
        if not self._is_ready.wait(_READY_S_MAX):
            raise TrainingFailed(f"{self.name} has not imported torch and hawser after {_READY_S_MAX:g} s")

    def begin(self) -> None:
        """Lets the script run."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended: the watch tells

    def kill(self) -> None:
        """As kill -9 does."""
        self.was_killed = True
        self._process.kill()

    def stop(self) -> bool:
        """Ends it if it runs, and says whether it did; `said` shows where it stood. Blocks for some seconds at most."""
        ran = self._process.poll() is None
        if ran:
            self._process.send_signal(signal.SIGABRT)
            try:
                self._process.wait(_STACKS_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for reader in self._readers:
            reader.join(_STACKS_S_MAX)
        return ran

    def check_end(self) -> None:
        """After its output has ended. Raises TrainingFailed if it ended otherwise than it should have."""
        status = self._process.wait()
        if status != (-signal.SIGKILL if self.was_killed else 0):
            raise TrainingFailed(f"{self.name} ended with status {status}; it said:\n" + "\n".join(self.said))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == "ready\n":
                self._is_ready.set()
            elif line.startswith("step "):
                words = line.split()
                self._watch.put(self, dict(zip(words[::2], words[1::2])))
            else:
                self.said.append(line.rstrip())
        self._is_ready.set()
        self._readers[1].join(_STACKS_S_MAX)
        self._watch.put(self, None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self.said.extend(line.rstrip() for line in self._process.stderr)


class Watch:
    """Shows what trainings report: in a terminal one line for each, which changes; else line after line.

    Args:
        limit_s: for all of it.
    """

    def __init__(self, out: TextIO, limit_s: float) -> None:
        self._out = out
        self.hurry(limit_s)
        self._events: queue.SimpleQueue[tuple[Training, Report | None]] = queue.SimpleQueue()
        self._lines: dict[str, str] = {}

    def hurry(self, limit_s: float) -> None:
        """A new limit, from now on."""
        self._end = time.monotonic() + limit_s
        self._limit_s = limit_s

    def put(self, training: Training, report: Report | None) -> None:
        """From the training's thread. None: its output has ended."""
        self._events.put((training, report))

    def next(self) -> tuple[Training, Report | None]:
        """Blocks until a training has reported, or has ended well. Raises TrainingFailed, also after limit_s."""
        try:
            training, report = self._events.get(timeout=max(0.0, self._end - time.monotonic()))
        except queue.Empty:
            raise TrainingFailed(f"not done after {self._limit_s:g} s") from None
        if report is None:
            training.check_end()
            self.tell(training.name, "was killed" if training.was_killed else "has ended")
        else:
            training.reports.append(report)
            shown = [f"{key} {value}" for key, value in report.items() if key not in ("digest", "bytes_sent")]
            self.tell(training.name, "  ".join(shown))
        return training, report

    def tell(self, name: str, what: str) -> None:
        """In the line of this name."""
        line = f"  {name:<14} {what}"
        if not self._out.isatty():
            print(line, file=self._out, flush=True)
            return
        up = f"\x1b[{len(self._lines)}A" if self._lines else ""
        if what in ("was killed", "has ended") and name in self._lines:
            line = f"{self._lines[name]}  ({what})"
        self._lines[name] = line
        text = "".join(f"\x1b[2K{each}\n" for each in self._lines.values())
        print(up + text, end="", file=self._out, flush=True)
