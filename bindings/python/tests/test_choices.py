"""Ops, plans and quantisations by name, and a package whose extension does not fit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from peers import run_threads

import hawser
from hawser.choices import plan_of, quantization_of, reduce_op_of


def test_names_stand_for_the_choices() -> None:
    assert reduce_op_of("avg") is hawser.ReduceOp.AVG
    assert reduce_op_of(hawser.ReduceOp.MAX) is hawser.ReduceOp.MAX
    assert plan_of("Ring") is hawser.Plan.RING
    int8 = quantization_of("int8")
    assert int8 is not None and (int8.scheme, int8.block) == (hawser.QuantizationScheme.BLOCKWISE, 256)
    assert quantization_of("none") is None


def test_wrong_names_are_answered_with_the_right_ones() -> None:
    with pytest.raises(hawser.InvalidArgument, match="'mean'.*'avg'"):
        reduce_op_of("mean")
    with pytest.raises(hawser.InvalidArgument, match="'int3'.*'int8'"):
        quantization_of("int3")
    with pytest.raises(TypeError, match="hawser.Plan"):
        plan_of(1)  # type: ignore[arg-type]


def test_a_collective_takes_names() -> None:
    def reduce(comm: hawser.Communicator) -> float:
        values = np.full(1000, comm.rank + 1, np.float32)
        comm.all_reduce(values, op="avg", plan="ring", quantization="int8")
        return float(values[0])

    with hawser.Master("127.0.0.1:0") as master:
        assert run_threads(master.address, 2, reduce) == [1.5, 1.5]


def import_of(folder: Path) -> str:
    """What importing the copy of the package says."""
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); import hawser"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    return run.stderr.splitlines()[-1]


def test_a_package_for_another_python_says_so(tmp_path: Path) -> None:
    copy = tmp_path / "hawser"
    shutil.copytree(Path(hawser.__file__).parent, copy, ignore=shutil.ignore_patterns("_core*.so", "__pycache__"))
    assert "has no extension module" in import_of(tmp_path)
    (copy / "_core.cpython-399-x86_64-linux-gnu.so").touch()
    assert "built for another Python: it has _core.cpython-399" in import_of(tmp_path)
