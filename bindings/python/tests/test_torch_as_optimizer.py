"""DiLoCo where a framework wants a torch.optim.Optimizer."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peers import communicator, run_threads

import hawser

torch = pytest.importorskip("torch")

from hawser.torch import DiLoCo, as_optimizer  # noqa: E402

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "frameworks"


def model_of(seed: int = 4) -> Any:
    torch.manual_seed(seed)
    return torch.nn.Linear(3, 2)


def pair(comm: hawser.Communicator, model: Any, **options: Any) -> tuple[Any, Any]:
    inner = torch.optim.AdamW(model.parameters(), lr=0.01)
    loop = DiLoCo(model, inner, comm, **{"sync_every": 2, "on_alone": "continue", **options})
    return loop, as_optimizer(loop)


def test_closures_schedulers_and_hooks(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        model = model_of()
        loop, optimizer = pair(comm, model)
        assert isinstance(optimizer, torch.optim.Optimizer)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        seen: list[str] = []
        optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
        optimizer.register_step_post_hook(lambda *_: seen.append("after"))

        def closure() -> Any:
            optimizer.zero_grad()
            loss = model(torch.ones(1, 3)).square().sum()
            loss.backward()
            return loss

        before = model.weight.detach().clone()
        assert optimizer.step(closure).item() > 0
        scheduler.step()
        assert seen == ["before", "after"]
        assert not torch.equal(before, model.weight)
        assert loop.inner.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == 0.005
        assert optimizer.state is loop.inner.state and len(optimizer.state) == 2
        assert optimizer.defaults["lr"] == 0.01
        optimizer.step(closure)
        assert loop.outer_steps == 1
        with pytest.raises(RuntimeError, match="no parameters can be added"):
            optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
        with pytest.raises(TypeError, match="belongs to a communicator"):
            copy.deepcopy(optimizer)
        assert "DiLoCo as an optimizer" in repr(optimizer)


def test_steps_that_a_gradient_scaler_skips_are_none(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        model = model_of()
        loop, optimizer = pair(comm, model)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        for factor in (1.0, float("inf"), 1.0):
            optimizer.zero_grad()
            scaler.scale(model(torch.full((1, 3), factor)).square().sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        assert (loop.outer_steps, loop.local_steps) == (1, 0)
        assert torch.isfinite(model.weight).all()


def test_a_state_is_loaded_by_all_and_what_was_just_taken_by_nobody(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> str:
        model = model_of(comm.rank)
        loop, optimizer = pair(comm, model)

        def train(steps: int) -> None:
            for _ in range(steps):
                optimizer.zero_grad()
                model(torch.full((1, 3), 1.0 + comm.rank)).square().sum().backward()
                optimizer.step()

        train(3)
        # One member alone: with a call of all it would wait for ever.
        if comm.rank == 0:
            optimizer.load_state_dict(optimizer.state_dict())
        train(1)
        saved = copy.deepcopy(optimizer.state_dict())
        train(4)
        at_eight: str = loop.digest()
        optimizer.load_state_dict(saved)
        assert loop.outer_steps == 2 and loop.digest() != at_eight
        train(4)
        assert loop.digest() == at_eight
        comm.barrier()
        return at_eight

    digests = run_threads(master.address, 2, body, min_peers=2)
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("script", "package"),
    [("with_lightning", "lightning"), ("with_accelerate", "accelerate"), ("with_trainer", "transformers")],
)
def test_frameworks_train_with_it(master: hawser.Master, script: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: tools/python_tests.sh --frameworks")
    command = [sys.executable, str(EXAMPLES / f"{script}.py"), master.address]
    members = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        told = [member.communicate(timeout=170) for member in members]
    finally:
        for member in members:
            member.kill()
    assert [member.returncode for member in members] == [0, 0], told
    ends = [[line for line in out.splitlines() if "outer steps, digest" in line][-1] for out, _ in told]
    assert ends[0] == ends[1] and not ends[0].startswith("0 "), told
