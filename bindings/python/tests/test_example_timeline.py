"""bindings/python/examples/streaming_timeline.py prints which fragments travel beside which inner steps."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

SCRIPT = Path(__file__).resolve().parent.parent / "examples" / "streaming_timeline.py"


def test_each_fragment_makes_its_outer_step_in_each_round() -> None:
    command = [sys.executable, str(SCRIPT), "--device=cpu", "--steps=12", "--sync-every=6", "--fragments=2"]
    command += ["--overlap=2", "--width=64"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    header, *rows, total = done.stdout.splitlines()
    assert header.split() == ["step", "computed", "waited", "fragments"]
    assert total.startswith("computed for ")
    marks = [row.split()[-2:] for row in rows]
    assert len(marks) == 12
    for step, (first, second) in enumerate(marks, 1):
        assert (first == "#") == (step % 6 == 3)
        assert (second == "#") == (step % 6 == 0)
        # Started two steps before, and there or not when the steps between begin.
        assert first in ("#.=" if step % 6 == 2 else "#.")
        assert second in ("#.=" if step % 6 == 5 else "#.")
