"""A checkpoint of another model is named with tensors, shapes and file, and nothing of it is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peers import communicator

import hawser

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from hawser.torch import AsyncDiLoCo, DiLoCo, StreamingDiLoCo  # noqa: E402


def model_of(*, width: int = 3, last: str = "last") -> Any:
    torch.manual_seed(4)
    model = nn.Sequential()
    model.add_module("first", nn.Linear(2, width))
    model.add_module("norm", nn.BatchNorm1d(width))
    model.add_module(last, nn.Linear(width, 1))
    return model


def make(comm: hawser.Communicator, model: Any, kind: Any = DiLoCo, **options: Any) -> Any:
    inner = options.pop("inner", None) or torch.optim.AdamW(model.parameters(), lr=0.01)
    return kind(model, inner, comm, **{"sync_every": 2, "on_alone": "continue", **options})


def train(loop: Any, model: Any) -> None:
    for _ in range(2):
        model(torch.randn(4, 2)).sum().backward()
        loop.step()
        loop.zero_grad()


def save(address: str, path: Path, **options: Any) -> dict[str, bytes]:
    with communicator(address) as comm:
        model = model_of()
        loop = make(comm, model, **options)
        train(loop, model)
        torch.save(loop.state_dict(), path)
        return values(model)


def values(model: Any) -> dict[str, bytes]:
    return {name: tensor.detach().numpy().tobytes() for name, tensor in model.state_dict().items()}


def test_a_file(master: hawser.Master, tmp_path: Path) -> None:
    held = save(master.address, tmp_path / "run.pt")
    with communicator(master.address) as comm:
        model = model_of()
        assert make(comm, model, resume=tmp_path / "run.pt").outer_steps == 1
        assert values(model) == held


RENAMED = (
    r"parameter head.weight \(1, 3\) is in the model and not in the checkpoint.*parameter last.bias \(1,\) is in the"
)
WIDENED = (
    r"parameter first.weight is \(5, 2\) in the model and \(3, 2\) in the checkpoint.*"
    r"buffer norm.running_mean is \(5,\)"
)


@pytest.mark.parametrize(
    ("change", "sentence"), [({"last": "head"}, RENAMED), ({"width": 5}, WIDENED)], ids=["name", "width"]
)
def test_another_model(master: hawser.Master, tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "run.pt"
    save(master.address, path)
    with communicator(master.address) as comm:
        model = model_of(**change)
        before = values(model)
        with pytest.raises(ValueError, match=f"run.pt is of another model or other settings: .*{sentence}") as caught:
            make(comm, model, resume=str(path))
        assert str(caught.value).count("first.weight") <= 1
        assert values(model) == before
        loop = make(comm, model)
        with pytest.raises(ValueError, match=sentence):
            loop.load_state_dict(torch.load(path))
        train(loop, model)


def test_other_settings(master: hawser.Master, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    save(master.address, path)
    with communicator(master.address) as comm:
        model = model_of()
        sentence = "momentum of parameter first.weight is in the checkpoint and not in the model"
        with pytest.raises(ValueError, match=sentence):
            make(comm, model, resume=path, outer_momentum=0.0)
        with pytest.raises(ValueError, match="run.pt was saved by DiLoCo, and this is AsyncDiLoCo"):
            make(comm, model, AsyncDiLoCo, resume=path)
        two_groups = torch.optim.AdamW([{"params": model.first.parameters()}, {"params": model.last.parameters()}])
        with pytest.raises(ValueError, match="run.pt does not fit the inner optimizer"):
            make(comm, model, resume=path, inner=two_groups)
    save(master.address, path, kind=StreamingDiLoCo, fragments=2)
    with communicator(master.address) as comm:
        with pytest.raises(ValueError, match="it has 2 fragments, and this has 1"):
            make(comm, model_of(), StreamingDiLoCo, resume=path, fragments=1)


def test_a_model_s_own_state_dict(master: hawser.Master, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(model_of().state_dict(), path)
    with communicator(master.address) as comm:
        with pytest.raises(ValueError, match="model.pt is no state_dict.. of hawser.torch: it has no inner"):
            make(comm, model_of(), resume=path)
