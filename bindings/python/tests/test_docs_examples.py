"""The programs in the documents run as they are written there, only shorter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hawser

DOCS = Path(__file__).resolve().parents[3] / "docs"
BOUND_S = 120


def example(page: str, number: int = 0) -> str:
    """The page's Python block of that number."""
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return blocks[number]


def shortened(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.fixture
def master() -> Iterator[hawser.Master]:
    with hawser.Master("127.0.0.1:0") as serving:
        yield serving


def run_beside_each_other(script: Path, arguments: list[list[str]]) -> list[str]:
    """Starts the script once for each list of arguments; gives what each prints."""
    commands = [[sys.executable, str(script), *each] for each in arguments]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    try:
        printed = []
        for process in running:
            out, error = process.communicate(timeout=BOUND_S)
            assert process.returncode == 0, error
            printed.append(out)
        return printed
    finally:
        for process in running:
            process.kill()


def test_the_quick_start(tmp_path: Path, master: hawser.Master) -> None:
    text = shortened(example("quickstart.md"), "state.revision < 2000", "state.revision < 20")
    text = shortened(text, "% 200 == 0", "% 10 == 0")
    script = tmp_path / "train.py"
    # Other tests may run at the same time, on the same ports.
    script.write_text(shortened(text, ", port_first=48600, port_last=48609", ""))
    for printed in run_beside_each_other(script, [[master.address, name] for name in ("berlin", "madrid", "oslo")]):
        assert "step 20 with" in printed


def test_the_example_of_the_python_page(tmp_path: Path, master: hawser.Master) -> None:
    text = shortened(example("python.md"), "state.revision < 100", "state.revision < 10")
    script = tmp_path / "train.py"
    script.write_text(text)
    for printed in run_beside_each_other(script, [[master.address], [master.address]]):
        assert "step 10 with" in printed


def test_the_messages(tmp_path: Path, master: hawser.Master) -> None:
    script = tmp_path / "ring.py"
    script.write_text(example("python.md", 1))
    printed = run_beside_each_other(script, [[master.address], [master.address]])
    assert sorted(text[:12] for text in printed) == ["rank 0 has 1", "rank 1 has 0"]


def test_the_divided_batches(tmp_path: Path, master: hawser.Master) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        example("data_loading.md", 1)
        + """
import sys
generator = np.random.default_rng(1)
data, wanted = generator.standard_normal((1000, 8)), generator.standard_normal(8)
with hawser.Communicator(sys.argv[1], min_peers=2) as comm:
    comm.connect()
    print(float(np.abs(train(comm, data, data @ wanted, 300) - wanted).max()))
"""
    )
    for printed in run_beside_each_other(script, [[master.address], [master.address]]):
        assert float(printed.splitlines()[-1]) < 1e-6


def test_one_stream_of_data(tmp_path: Path, master: hawser.Master) -> None:
    pytest.importorskip("torch")
    script = tmp_path / "stream.py"
    script.write_text(
        "import torch\nimport hawser\n"
        + shortened(example("data_loading.md", 2), "sync_every=50", "sync_every=5")
        + """
import sys
torch.manual_seed(3)
model = torch.nn.Linear(4, 1)
data = torch.randn(100, 4)
with hawser.Communicator(sys.argv[1], min_peers=2) as comm:
    diloco = train_on_one_stream(model, torch.optim.SGD(model.parameters(), lr=0.01), comm, data, 4)
    print(diloco.global_step, diloco.shares, diloco.digest())
    comm.barrier()
"""
    )
    printed = run_beside_each_other(script, [[master.address], [master.address]])
    lines = sorted(each.splitlines()[-1].rpartition(" ") for each in printed)
    assert [line[0] for line in lines] == ["20 range(40, 50, 2)", "20 range(41, 50, 2)"]
    assert lines[0][2] == lines[1][2]


def test_the_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "alarm.py"
    script.write_text(example("monitoring.md"))
    answer = {
        "world_size": 1,
        "groups": [
            {
                "group": 0,
                "mismatches": 1,
                "last_mismatch": "a called this; b called that",
                "last_mismatch_age_ms": 5,
                "members": [{"name": "berlin", "heard_ms": 4000}],
            }
        ],
        "collectives": [{"what": "all-reduce", "group": 0, "since_ms": 70_000, "waits_for": [0]}],
        "pending": [{"name": "oslo", "awaits": "links", "waits_ms": 130_000}],
    }
    command = tmp_path / "hawser"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    run = subprocess.run([sys.executable, str(script), "x:1", "2"], capture_output=True, text=True, timeout=BOUND_S)
    assert run.returncode == 1, run.stderr
    assert run.stdout.splitlines() == [
        "1 of 2 members",
        "berlin is silent",
        "a called this; b called that",
        "all-reduce waits for ['berlin']",
        "oslo waits: links",
    ]
