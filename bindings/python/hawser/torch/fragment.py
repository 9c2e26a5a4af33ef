"""Some of the parameters and buffers of a model, and their outer copy in flat memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser.torch import arithmetic
from hawser.torch.model_content import NamedTensor
from hawser.torch.site import shard

__all__ = ["Fragment", "OuterSettings"]


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
            "outer_momentum": repr(float(self.momentum)) + (", nesterov" if self.nesterov else ""),
        }


@dataclass
class _Part:
    """A parameter or buffer and its places in flat memory."""

    name: str
    read: Callable[[], torch.Tensor]
    is_buffer: bool
    outer: torch.Tensor
    momentum: torch.Tensor | None
    delta: torch.Tensor
    average: torch.Tensor
    start: torch.Tensor | None

    @property
    def parameter(self) -> torch.Tensor:
        """The tensor of the model."""
        return self.read()

    def key(self, kind: str) -> str:
        """Of one of its tensors, in a shared state or a checkpoint."""
        return f"{kind} of buffer/{self.name}" if self.is_buffer else f"{kind}/{self.name}"


@dataclass
class _Block:
    """Flat memory of one outer type on one device, by kind."""

    flat: dict[str, torch.Tensor]
    settings: OuterSettings

    def __getitem__(self, kind: str) -> torch.Tensor:
        return self.flat[kind]

    def get(self, kind: str) -> torch.Tensor | None:
        """None if it has none of this kind."""
        return self.flat.get(kind)


_AVERAGE = OuterSettings(1.0, 0.0, False)
"""The outer step that makes the average of what members hold."""


def _step(outer: torch.Tensor, momentum: torch.Tensor | None, average: torch.Tensor, settings: OuterSettings) -> None:
    nesterov = settings.nesterov and momentum is not None
    arithmetic.outer_step(outer, momentum, average, settings.learning_rate, settings.momentum, nesterov)


def _local(parameter: torch.Tensor) -> torch.Tensor:
    """The memory of its shard, flat, if that is contiguous; else a copy."""
    return shard(parameter).contiguous().view(-1)


class Fragment:
    """Parameters L with their outer copy Θ, momentum M, pseudo-gradient Δ, the group's average of it, and S if asked.

    The letters are those of docs/optim.md. Flat memory on the parameters' device, one block for each outer type and
    device. Of sharded parameters all this is the shard of this rank, and those of which it has nothing are left out.
    Buffers have blocks of their own, without momentum. Their outer step has the rate 1, so that it averages them.
    """

    def __init__(
        self,
        parameters: Sequence[tuple[str, torch.Tensor]],
        settings: OuterSettings,
        has_start: bool = False,
        buffers: Sequence[NamedTensor] = (),
    ) -> None:
        self._parts: list[_Part] = []
        self._blocks: list[_Block] = []
        trained = [NamedTensor.of(name, parameter) for name, parameter in parameters]
        for given, is_buffer in ((trained, False), (list(buffers), True)):
            for outer_type in (torch.float32, torch.float64):
                chosen = [
                    each
                    for each in given
                    if (each.read().dtype == torch.float64) == (outer_type == torch.float64)
                    and shard(each.read()).numel() > 0
                ]
                self._add_parts(chosen, outer_type, has_start, _AVERAGE if is_buffer else settings, is_buffer)
        self.restart()
        self.clear_momentum()

    def _add_parts(
        self, chosen: list[NamedTensor], outer_type: Any, has_start: bool, settings: OuterSettings, is_buffer: bool
    ) -> None:
        kinds = ["outer", "delta", "average"]
        if settings.momentum:
            kinds.append("momentum")
        if has_start:
            kinds.append("start")
        counts: dict[torch.device, int] = {}
        for each in chosen:
            own = shard(each.read())
            counts[own.device] = counts.get(own.device, 0) + own.numel()
        blocks = {
            device: _Block({k: torch.zeros(count, dtype=outer_type, device=device) for k in kinds}, settings)
            for device, count in counts.items()
        }
        self._blocks += blocks.values()
        begins = dict.fromkeys(blocks, 0)
        for each in chosen:
            local = _local(each.read())
            begin = begins[local.device]
            end = begins[local.device] = begin + local.numel()
            places = {kind: flat[begin:end] for kind, flat in blocks[local.device].flat.items()}
            part = _Part(
                each.name,
                each.read,
                is_buffer,
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
            if "start" in block.flat:
                block["start"].copy_(block["outer"])

    def clear_momentum(self) -> None:
        """As before the first step."""
        for block in self._blocks:
            if "momentum" in block.flat:
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
        """Δ = the gradients * scale; where there is none, 0. Of buffers, the differences."""
        for part in self._parts:
            gradient = part.parameter.grad
            if part.is_buffer:
                arithmetic.pseudo_gradient(part.outer, _local(part.parameter), part.delta, scale)
            elif gradient is None:
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
        """Θ, M = step(Θ, M, average). `rates`: a learning rate for each parameter instead of the one for all, without
        momentum."""
        if rates is None:
            for block in self._blocks:
                _step(block["outer"], block.get("momentum"), block["average"], block.settings)
            return
        # Buffers come after the parameters.
        for part, settings in zip_longest(self._parts, (OuterSettings(rate, 0.0, False) for rate in rates)):
            _step(part.outer, None, part.average, settings or _AVERAGE)

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

    # ------------------------------------------------------------------------------------------- bad numbers

    def bad_differences(self) -> list[str]:
        """Names of what has a Δ that is not finite."""
        if all(arithmetic.is_finite(block["delta"]) for block in self._blocks):
            return []
        return [part.name for part in self._parts if not arithmetic.is_finite(part.delta)]

    def has_good_average(self) -> bool:
        """Whether all of it is finite."""
        return all(arithmetic.is_finite(block["average"]) for block in self._blocks)

    def bad_outer(self) -> list[str]:
        """Names of what has a Θ or M that is not finite."""
        kinds = ("outer", "momentum")
        if all(arithmetic.is_finite(flat) for block in self._blocks for k, flat in block.flat.items() if k in kinds):
            return []
        bad = [
            part.outer if part.momentum is None else torch.stack((part.outer, part.momentum)) for part in self._parts
        ]
        return [part.name for part, flat in zip(self._parts, bad) if not arithmetic.is_finite(flat)]

    # ----------------------------------------------------------------------------------------- the memory

    @property
    def parameters(self) -> list[torch.Tensor]:
        """In the order of `rates`."""
        return [part.parameter for part in self._parts if not part.is_buffer]

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
            tensors[part.key("outer")] = part.outer
            if part.momentum is not None:
                tensors[part.key("momentum")] = part.momentum
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

    def outer(self, *, buffers: bool = False) -> dict[str, torch.Tensor]:
        """Copies of Θ of the parameters, or of the buffers, each of its tensor's (or shard's) shape."""
        chosen = [part for part in self._parts if part.is_buffer == buffers]
        return {part.name: part.outer.clone().view(shard(part.parameter).shape) for part in chosen}

    def kept(self) -> dict[str, torch.Tensor]:
        """All that cannot be made of the rest: L and Θ, M, Δ, S by parameter."""
        kept: dict[str, torch.Tensor] = {}
        for part in self._parts:
            kept[part.key("local")] = shard(part.parameter)
            for kind, tensor in self._own(part).items():
                kept[part.key(kind)] = tensor
        return kept

    @staticmethod
    def _own(part: _Part) -> dict[str, torch.Tensor]:
        own = {"outer": part.outer, "delta": part.delta, "momentum": part.momentum, "start": part.start}
        return {kind: tensor for kind, tensor in own.items() if tensor is not None}
