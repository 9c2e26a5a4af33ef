"""PyTorch's own tests of torch.distributed with the backend "hawser": those that are known to pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest")  # torch's tests need it

SUITE = Path(__file__).parents[3] / "tools" / "torch_suite" / "suite.py"
BOUND_S = 170


@pytest.mark.soak
def test_torchs_own_tests_pass() -> None:
    command = [sys.executable, str(SUITE), "--stable", "--jobs", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
