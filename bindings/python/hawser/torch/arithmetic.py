"""The formulas of docs/optim.md on tensors of torch where they lie: on the CPU by hawser.optim, on a device by torch.

Both have the same bits. Flat tensors; all of a call on one device.
"""

from __future__ import annotations

from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import optim
from hawser.torch import device_arithmetic

__all__ = [
    "add_difference",
    "clear_momentum",
    "finiteness",
    "is_finite",
    "mix",
    "outer_step",
    "pseudo_gradient",
    "scale",
]


def pseudo_gradient(outer: torch.Tensor, inner: torch.Tensor, delta: torch.Tensor, scale: float = 1.0) -> None:
    """delta = (outer - inner) * scale."""
    _by(outer).pseudo_gradient(outer, inner, delta, scale)


def scale(values: torch.Tensor, multiplier: float = 1.0, divisor: float = 1.0) -> None:
    """values = (values * multiplier) / divisor."""
    _by(values).scale(values, multiplier, divisor)


def outer_step(
    outer: torch.Tensor,
    momentum: torch.Tensor | None,
    delta: torch.Tensor,
    learning_rate: float,
    factor: float,
    nesterov: bool,
) -> None:
    """One step of SGD on `outer` with the gradient `delta`; `factor` is that of the momentum."""
    _by(outer).outer_step(outer, momentum, delta, learning_rate, factor, nesterov)


def clear_momentum(momentum: torch.Tensor) -> None:
    """What it is before the first step."""
    _by(momentum).clear_momentum(momentum)


def mix(local: torch.Tensor, global_: torch.Tensor, alpha: float) -> None:
    """local = (alpha * local) + ((1 - alpha) * global_)."""
    _by(global_).mix(local, global_, alpha)


def add_difference(local: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """local = local + (a - b)."""
    _by(a).add_difference(local, a, b)


def is_finite(values: torch.Tensor) -> bool:
    """Whether there is neither NaN nor infinity in it. Reads it once; blocks until a device has."""
    return values.numel() == 0 or bool(finiteness(values))


def finiteness(values: torch.Tensor) -> torch.Tensor:
    """The same as a bool on the device of the values, of which there are some. The host does not wait for it."""
    return torch.isfinite(torch.stack(torch.aminmax(values))).all()  # both extremes are NaN if one value is


def _by(tensor: torch.Tensor) -> Any:
    return optim if tensor.device.type == "cpu" else device_arithmetic
