"""Some of the parameters of a model, and their outer copy in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser.torch import arithmetic
from hawser.torch.site import shard

__all__ = ["Fragment", "OuterSettings", "Parameters", "named"]

Parameters = Union[Iterable["torch.Tensor"], Iterable[tuple[str, "torch.Tensor"]]]
"""`model.parameters()` or `model.named_parameters()`."""

_INNER = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class OuterSettings:
    """Of the outer step: those of torch.optim.SGD."""

    learning_rate: float
    momentum: float
    nesterov: bool

    def __post_init__(self) -> None:
        if self.learning_rate < 0 or self.momentum < 0:
            raise ValueError("outer_lr and outer_momentum must be 0 or more")

    def terms(self) -> dict[str, str]:
        """What all members of a group must have alike."""
        return {
            "outer_lr": repr(float(self.learning_rate)),
            "outer_momentum": repr(float(self.momentum)),
            "nesterov": str(bool(self.nesterov)),
        }


def named(parameters: Parameters) -> list[tuple[str, torch.Tensor]]:
    """Those that are trained, each once, under names that are the same on all members."""
    result: list[tuple[str, torch.Tensor]] = []
    seen: set[int] = set()
    for position, given in enumerate(parameters):
        name, parameter = given if isinstance(given, tuple) else (str(position), given)
        if not parameter.requires_grad or id(parameter) in seen:
            continue
        if parameter.dtype not in _INNER:
            raise TypeError(f"parameter {name} is of {parameter.dtype}, not one of {_INNER}")
        seen.add(id(parameter))
        result.append((name, parameter))
    if not result:
        raise ValueError("there are no parameters that require gradients")
    return result


@dataclass
class _Part:
    """A parameter and its places in flat memory."""

    name: str
    parameter: torch.Tensor
    outer: torch.Tensor
    momentum: torch.Tensor | None
    delta: torch.Tensor
    average: torch.Tensor
    start: torch.Tensor | None


def _local(parameter: torch.Tensor) -> torch.Tensor:
    """The memory of its shard, flat, if that is contiguous; else a copy."""
    return shard(parameter).contiguous().view(-1)


class Fragment:
    """Parameters L with their outer copy Θ, momentum M, pseudo-gradient Δ, the group's average of it, and S if asked.

    The letters are those of docs/optim.md. Flat memory on the parameters' device, one block for each outer type and
    device. Of sharded parameters all this is the shard of this rank, and those of which it has nothing are left out.
    """

    def __init__(
        self, parameters: Sequence[tuple[str, torch.Tensor]], settings: OuterSettings, has_start: bool = False
    ) -> None:
        self._settings = settings
        self._parts: list[_Part] = []
        self._blocks: list[dict[str, torch.Tensor]] = []
        for outer_type in (torch.float32, torch.float64):
            chosen = [
                (n, p)
                for n, p in parameters
                if (p.dtype == torch.float64) == (outer_type == torch.float64) and shard(p).numel() > 0
            ]
            self._add_parts(chosen, outer_type, has_start)
        self.restart()
        self.clear_momentum()

    def _add_parts(self, chosen: list[tuple[str, torch.Tensor]], outer_type: Any, has_start: bool) -> None:
        kinds = ["outer", "delta", "average"]
        if self._settings.momentum:
            kinds.append("momentum")
        if has_start:
            kinds.append("start")
        counts: dict[torch.device, int] = {}
        for _, parameter in chosen:
            own = shard(parameter)
            counts[own.device] = counts.get(own.device, 0) + own.numel()
        blocks = {
            device: {kind: torch.zeros(count, dtype=outer_type, device=device) for kind in kinds}
            for device, count in counts.items()
        }
        self._blocks += blocks.values()
        begins = dict.fromkeys(blocks, 0)
        for name, parameter in chosen:
            local = _local(parameter)
            begin = begins[local.device]
            end = begins[local.device] = begin + local.numel()
            places = {kind: flat[begin:end] for kind, flat in blocks[local.device].items()}
            part = _Part(
                name,
                parameter,
                places["outer"],
                places.get("momentum"),
                places["delta"],
                places["average"],
                places.get("start"),
            )
            part.outer.copy_(local)
            self._parts.append(part)

    # ------------------------------------------------------------------------------------------- arithmetic

    def restart(self) -> None:
        """L = Θ; S = Θ; Δ = 0."""
        self.take_over()
        for block in self._blocks:
            block["delta"].zero_()
            if "start" in block:
                block["start"].copy_(block["outer"])

    def clear_momentum(self) -> None:
        """As before the first step."""
        for block in self._blocks:
            if "momentum" in block:
                arithmetic.clear_momentum(block["momentum"])

    def scale_delta(self, scale: float) -> None:
        """Δ = Δ * scale."""
        for block in self._blocks:
            arithmetic.scale(block["delta"], scale)

    def clear_delta(self) -> None:
        """Δ = 0."""
        for block in self._blocks:
            block["delta"].zero_()

    def take_delta(self, scale: float = 1.0) -> None:
        """Δ = (Θ - L) * scale."""
        for part in self._parts:
            arithmetic.pseudo_gradient(part.outer, _local(part.parameter), part.delta, scale)

    def take_gradients(self, scale: float = 1.0) -> None:
        """Δ = the gradients * scale; where there is none, 0."""
        for part in self._parts:
            gradient = part.parameter.grad
            if gradient is None:
                part.delta.zero_()
            else:
                part.delta.copy_(shard(gradient).reshape(-1))
                arithmetic.scale(part.delta, scale)

    def take_own(self) -> None:
        """As if the sum were of this member alone."""
        for block in self._blocks:
            block["average"].copy_(block["delta"])

    def divide(self, divisor: float) -> None:
        """Makes the average of the sum."""
        for block in self._blocks:
            arithmetic.scale(block["average"], 1.0, divisor)

    def step(self, rates: Sequence[float] | None = None) -> None:
        """Θ, M = step(Θ, M, average). `rates`: a learning rate for each parameter instead of the one for all."""
        if rates is None:
            for block in self._blocks:
                self._step(block["outer"], block.get("momentum"), block["average"], self._settings.learning_rate)
            return
        for part, rate in zip(self._parts, rates):
            self._step(part.outer, part.momentum, part.average, rate)

    def _step(self, outer: torch.Tensor, momentum: torch.Tensor | None, average: torch.Tensor, rate: float) -> None:
        arithmetic.outer_step(
            outer, momentum, average, rate, self._settings.momentum, self._settings.nesterov and momentum is not None
        )

    def take_over(self, alpha: float = 0.0) -> None:
        """L = alpha L + (1 - alpha) Θ."""
        for part in self._parts:
            local = _local(part.parameter)
            arithmetic.mix(local, part.outer, alpha)
            self._put_back(part.parameter, local)

    def move_along(self) -> None:
        """L = L + (Θ - S): the group's progress for one's own of the window before."""
        for part in self._parts:
            local = _local(part.parameter)
            assert part.start is not None, "a fragment without S has no window before"
            arithmetic.add_difference(local, part.outer, part.start)
            self._put_back(part.parameter, local)

    def take_start(self) -> None:
        """S = Θ - Δ."""
        for block in self._blocks:
            arithmetic.pseudo_gradient(block["outer"], block["delta"], block["start"])

    @staticmethod
    def _put_back(parameter: torch.Tensor, local: torch.Tensor) -> None:
        own = shard(parameter)
        if local.data_ptr() != own.data_ptr():
            own.copy_(local.view(own.shape))

    # ----------------------------------------------------------------------------------------- the memory

    @property
    def parameters(self) -> list[torch.Tensor]:
        """In the order of `rates`."""
        return [part.parameter for part in self._parts]

    @property
    def blocks_described(self) -> str:
        """How parameters are spread over several devices: alike on all members. Empty if all are on one."""
        if len({block["delta"].device for block in self._blocks}) == 1:
            return ""
        return " ".join(str(block["delta"].numel()) for block in self._blocks)

    def shared(self) -> dict[str, torch.Tensor]:
        """What all members hold with the same bits."""
        tensors: dict[str, torch.Tensor] = {}
        for part in self._parts:
            tensors[f"outer/{part.name}"] = part.outer
            if part.momentum is not None:
                tensors[f"momentum/{part.name}"] = part.momentum
        return tensors

    def buckets(self, bytes_max: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Δ and the average, cut alike into pieces of so many bytes."""
        sends: list[torch.Tensor] = []
        receives: list[torch.Tensor] = []
        for block in self._blocks:
            count = max(1, bytes_max // block["delta"].element_size())
            sends += torch.split(block["delta"], count)
            receives += torch.split(block["average"], count)
        return sends, receives

    def per_parameter(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Δ and the average of each parameter."""
        return [part.delta for part in self._parts], [part.average for part in self._parts]

    def outer(self) -> dict[str, torch.Tensor]:
        """Copies of Θ, each of its parameter's (or shard's) shape."""
        return {part.name: part.outer.clone().view(shard(part.parameter).shape) for part in self._parts}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Copies of all that cannot be made of the rest: L and Θ, M, Δ, S by parameter."""
        saved: dict[str, torch.Tensor] = {}
        for part in self._parts:
            saved[f"local/{part.name}"] = shard(part.parameter).clone()
            for kind, tensor in self._own(part).items():
                saved[f"{kind}/{part.name}"] = tensor.clone()
        return saved

    def load_state_dict(self, saved: dict[str, torch.Tensor]) -> None:
        """Raises KeyError, RuntimeError (another shape)."""
        for part in self._parts:
            shard(part.parameter).copy_(saved[f"local/{part.name}"])
            for kind, tensor in self._own(part).items():
                tensor.copy_(saved[f"{kind}/{part.name}"])

    @staticmethod
    def _own(part: _Part) -> dict[str, torch.Tensor]:
        own = {"outer": part.outer, "delta": part.delta, "momentum": part.momentum, "start": part.start}
        return {kind: tensor for kind, tensor in own.items() if tensor is not None}
