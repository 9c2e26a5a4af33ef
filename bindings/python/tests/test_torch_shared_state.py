"""A `SharedState` of what state_dicts of torch hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from peers import run_threads

import hawser
from hawser import SharedState

torch = pytest.importorskip("torch")


def test_a_model_and_its_optimiser(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> dict[str, Any]:
        torch.manual_seed(comm.rank)
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 4, 1))
        model[0].to(memory_format=torch.channels_last)
        model.register_buffer("mask", torch.rand(9) > 0.5)
        model.register_buffer("waves", torch.randn(5, dtype=torch.complex64))
        model.register_buffer("small", torch.randn(6).to(torch.float8_e4m3fn))
        model.register_parameter("tied", model[2].weight)
        inner = torch.optim.AdamW(model.parameters())
        model(torch.randn(2, 3, 8, 8)).sum().backward()
        inner.step()
        states = {"model": model.state_dict(), "adam": inner.state_dict()["state"]}
        state = SharedState(states, revision=5 if comm.rank == 1 else 0)
        assert "model.tied" in state.tensors and "adam.0.exp_avg" in state.tensors
        info = state.sync(comm)
        assert info.tensors == len(state.tensors) - 1  # one is tied
        assert model.tied is model[2].weight
        held: Mapping[str, Any] = state.tensors
        return {name: tensor.detach().clone() for name, tensor in held.items()}

    results = run_threads(master.address, 2, body)
    expected = results[1]
    for name, tensor in results[0].items():
        same = tensor.view(torch.uint8) if tensor.dtype == torch.float8_e4m3fn else tensor
        other = expected[name].view(torch.uint8) if tensor.dtype == torch.float8_e4m3fn else expected[name]
        assert torch.equal(same, other), name


def test_a_sparse_tensor_is_refused(master: hawser.Master) -> None:
    with pytest.raises((TypeError, hawser.InvalidArgument, RuntimeError)):
        SharedState({"sparse": torch.eye(3).to_sparse()})
