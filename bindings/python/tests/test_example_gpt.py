"""bindings/python/examples/gpt: the command that trains a GPT by peers, one killed and one added."""

from __future__ import annotations

import difflib
import subprocess
import sys
from argparse import Namespace
from io import StringIO
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

GPT = Path(__file__).resolve().parent.parent / "examples" / "gpt"
CHANGED_LINES_MAX = 12
BOUND_S = 170
TINY = ["--width=16", "--layers=1", "--context=32", "--batch=2", "--report-every=50", "--lr=0.004"]


@pytest.fixture(autouse=True)
def _examples_import_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(GPT))


def changed_lines(before: list[str], after: list[str]) -> int:
    """Added or removed; a line that is another one now counts once."""
    total = 0
    for kind, old_begin, old_end, new_begin, new_end in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            total += max(old_end - old_begin, new_end - new_begin)
    return total


def test_hawser_takes_few_lines() -> None:
    alone, diloco = ((GPT / f"train_{name}.py").read_text().splitlines() for name in ("alone", "diloco"))
    assert not any("hawser" in line for line in alone)
    assert 0 < changed_lines(alone, diloco) <= CHANGED_LINES_MAX
    assert changed_lines(["a", "b", "c"], ["a", "x", "y", "c", "d"]) == 3


def test_one_is_killed_and_one_comes(tmp_path: Path) -> None:
    png = tmp_path / "losses.png"
    command = [sys.executable, str(GPT / "run_gpt.py"), *TINY, "--workers=3", "--tokens=120000", "--warm-tokens=8000"]
    command += ["--mode=DiLoCo", f"--plot={png}", "--bound-percent=60", f"--limit-s={BOUND_S / 2:g}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    ends = [line.split() for line in done.stdout.splitlines()]
    assert ["worker", "3", "was", "killed"] in ends
    assert ["worker", "4", "has", "ended"] in ends


def test_all_checks_count() -> None:
    from run_gpt import Outcome, report

    given = Namespace(bound_percent=3.0)
    alone = Outcome("one process", [100], [2.0])

    def verdict(**changes: object) -> bool:
        group = {"name": "DiLoCo", "tokens": [100], "losses": [2.05], "bytes_per_token": 1.0, "agree": True, **changes}
        groups = [Outcome("AsyncDiLoCo", [100], [1.9], 1.0), Outcome(**group)]  # type: ignore[arg-type]
        return report(given, groups, alone, 20.0)

    assert verdict()
    assert not verdict(losses=[2.07])
    assert not verdict(losses=[float("nan")])
    assert not verdict(agree=False)


def test_member_that_fails_is_shown(tmp_path: Path) -> None:
    from watched_training import Training, TrainingFailed, Watch

    script = tmp_path / "fails.py"
    script.write_text("print('step 1 tokens 2 loss 3')\nraise SystemExit('the disk is full')\n")
    watch = Watch(StringIO(), BOUND_S)
    training = Training(watch, "worker 1", script)
    training.begin()
    assert watch.next()[1] == {"step": "1", "tokens": "2", "loss": "3"}
    with pytest.raises(TrainingFailed, match="(?s)worker 1 ended with status 1.*the disk is full"):
        watch.next()
    assert not training.stop()


def test_member_that_hangs_shows_where(tmp_path: Path) -> None:
    from watched_training import Training, TrainingFailed, Watch

    script = tmp_path / "hangs.py"
    script.write_text(
        "import threading\ndef for_ever():\n    print('step 1', flush=True)\n    threading.Event().wait()\nfor_ever()\n"
    )
    watch = Watch(StringIO(), BOUND_S)
    training = Training(watch, "worker 1", script)
    training.begin()
    assert watch.next()[1] == {"step": "1"}
    watch.hurry(0.0)
    with pytest.raises(TrainingFailed, match="not done after 0 s"):
        watch.next()
    assert training.stop()
    assert any("in for_ever" in line for line in training.said)
