"""A model whose training NumPy can follow bit by bit: gradients by sums and products, a power of two as rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found,unused-ignore]
from numpy.typing import NDArray

SHAPES = ((5, 7), (11,), (3, 2, 2))
RATE = 0.125
SLOPE = np.float32(0.37)
Arrays = list[NDArray[np.float32]]


def arrays(seed: int) -> Arrays:
    generators = [np.random.default_rng([seed, i]) for i in range(len(SHAPES))]
    return [each.normal(size=shape).astype(np.float32) for each, shape in zip(generators, SHAPES)]


class Toy:
    """A member's model: pulled to targets of its own."""

    def __init__(
        self, member: int, *, start: int = 0, dtype: Any = torch.float32, device: str = "cpu"
    ) -> None:
        self.parameters = [torch.nn.Parameter(torch.from_numpy(a).to(device, dtype)) for a in arrays(1000 + start)]
        self.targets = [torch.from_numpy(a).to(device) for a in arrays(member)]
        self.sgd = torch.optim.SGD(self.parameters, lr=RATE)

    def backward(self) -> None:
        for parameter, target in zip(self.parameters, self.targets):
            parameter.grad = ((parameter.detach().float() - target) * float(SLOPE)).to(parameter.dtype)

    def values(self) -> list[bytes]:
        return [parameter.detach().float().cpu().numpy().tobytes() for parameter in self.parameters]


def train(optimizer: Any, toy: Toy, steps: int) -> None:
    for _ in range(steps):
        toy.backward()
        optimizer.step()


def inner_steps(local: Arrays, targets: Arrays, steps: int) -> Arrays:
    for _ in range(steps):
        local = [p - np.float32(RATE) * ((p - t) * SLOPE) for p, t in zip(local, targets)]
    return local


class Outer:
    """NumPy's outer step."""

    def __init__(self, theta: Arrays, rate: float, momentum: float) -> None:
        self.theta = [a.copy() for a in theta]
        self.momentum = [np.full_like(a, -0.0) for a in theta]
        self.rate, self.mu = np.float32(rate), np.float32(momentum)

    def step(self, average: Arrays) -> None:
        for i, g in enumerate(average):
            self.momentum[i] = self.mu * self.momentum[i] + g
            self.theta[i] = self.theta[i] - self.rate * (g + self.mu * self.momentum[i])


def average(deltas: Sequence[Arrays], weights: Sequence[int] | None = None) -> Arrays:
    """Of one or two members (zeros may be left out): a sum that has no order."""
    assert len(deltas) <= 2
    weights = weights or [1] * len(deltas)
    total = np.float32(sum(weights))
    sums = [sum(np.float32(w) * delta for w, delta in zip(weights, each)) for each in zip(*deltas)]
    return [np.asarray(each / total, np.float32) for each in sums]


def diloco_reference(rounds: int, steps: int, weights: Sequence[int] | None = None) -> Arrays:
    """The outer parameters of members 0 and 1 after so many rounds."""
    outer = Outer(arrays(1000), 0.7, 0.9)
    for _ in range(rounds):
        deltas = []
        for member in range(2):
            local = inner_steps(outer.theta, arrays(member), steps)
            deltas.append([theta - p for theta, p in zip(outer.theta, local)])
        outer.step(average(deltas, weights))
    return outer.theta


class Delayed:
    """One member of docs/optim.md, "Delayed by one step"."""

    def __init__(self, number: int, theta: Arrays, steps: int) -> None:
        self.targets, self.steps = arrays(number), steps
        self.local, self.start = list(theta), list(theta)
        self.delta: Arrays = []

    def window(self) -> None:
        self.local = inner_steps(self.local, self.targets, self.steps)

    def take(self, theta: Arrays) -> None:
        self.local = [p + (t - s) for p, t, s in zip(self.local, theta, self.start)]
        self.delta = [t - p for t, p in zip(theta, self.local)]
        self.start = [t - d for t, d in zip(theta, self.delta)]


def delayed_reference(
    rounds: int, steps: int, weights: Sequence[int] | None = None
) -> tuple[Arrays, list[Delayed]]:
    """The outer parameters, and members 0 and 1, after so many rounds."""
    outer = Outer(arrays(1000), 0.7, 0.9)
    group = [Delayed(i, outer.theta, steps) for i in range(2)]
    for number in range(rounds):
        for member in group:
            member.window()
        if number:
            outer.step(average([member.delta for member in group], weights))
        for member in group:
            member.take(outer.theta)
    return outer.theta, group


def bits(values: Arrays) -> list[bytes]:
    return [a.tobytes() for a in values]
