"""The formulas of docs/optim.md by operations of torch, on whichever device the tensors are.

Each function has the arguments and the bits of its namesake in hawser.optim (payloads and signs of NaNs apart). So each
operation rounds by itself, in the order of the brackets. Operations of torch that multiply and add at once are not
used: addcmul, lerp, and add with an alpha. A tensor is not divided by a number either: on CUDA torch multiplies by the
reciprocal then, which rounds twice.

Tensors are flat, and work in pieces, so that temporary memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["add_difference", "clear_momentum", "mix", "outer_step", "pseudo_gradient", "scale"]

_PIECE = 1 << 24
"""Elements. Up to two pieces of the outer type are temporary."""


def pseudo_gradient(outer: torch.Tensor, inner: torch.Tensor, delta: torch.Tensor, scale: float = 1.0) -> None:
    """delta = (outer - inner) * scale."""
    for theta, local, difference in _pieces(outer, inner, delta):
        torch.sub(theta, local.to(theta.dtype), out=difference)
        if scale != 1:
            difference.mul_(_rounded(scale, theta))


def scale(values: torch.Tensor, multiplier: float = 1.0, divisor: float = 1.0) -> None:
    """values = (values * multiplier) / divisor, of an outer type."""
    if multiplier != 1:
        values.mul_(_rounded(multiplier, values))
    if divisor != 1:
        values.div_(torch.full((), divisor, dtype=values.dtype, device=values.device))


def outer_step(
    outer: torch.Tensor,
    momentum: torch.Tensor | None,
    delta: torch.Tensor,
    learning_rate: float = 0.7,
    factor: float = 0.9,
    nesterov: bool = True,
) -> None:
    """momentum = (factor * momentum) + delta; outer = outer - (learning_rate * d)."""
    rate, mu = _rounded(learning_rate, outer), _rounded(factor, outer)
    if momentum is None or factor == 0:
        for theta, change in _pieces(outer, delta):
            theta.sub_(change.mul(rate))
        return
    for theta, memory, change in _pieces(outer, momentum, delta):
        memory.mul_(mu).add_(change)
        d = memory.mul(mu).add_(change) if nesterov else memory.clone()
        theta.sub_(d.mul_(rate))


def clear_momentum(momentum: torch.Tensor) -> None:
    """What it is before the first step."""
    momentum.fill_(-0.0)


def mix(local: torch.Tensor, global_: torch.Tensor, alpha: float = 0.0) -> None:
    """local = (alpha * local) + ((1 - alpha) * global_)."""
    if alpha == 1:
        return
    if alpha == 0:
        local.copy_(global_)
        return
    own, others = _rounded(alpha, global_), _rounded(1 - alpha, global_)
    for mine, theta in _pieces(local, global_):
        mine.copy_(mine.to(theta.dtype).mul(own).add_(theta.mul(others)))


def add_difference(local: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """local = local + (a - b)."""
    for mine, plus, minus in _pieces(local, a, b):
        mine.copy_(torch.sub(plus, minus).add_(mine.to(plus.dtype)))


def _pieces(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    if len({tensor.numel() for tensor in tensors}) > 1:
        raise ValueError(f"tensors of {[tensor.numel() for tensor in tensors]} elements do not go together")
    return zip(*(torch.split(tensor, _PIECE) for tensor in tensors))


def _rounded(factor: float, like: torch.Tensor) -> float:
    """To the outer type, once."""
    return float(torch.tensor(factor, dtype=like.dtype, device="cpu"))
