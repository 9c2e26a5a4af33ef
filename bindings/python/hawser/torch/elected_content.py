"""Tensors of a model of which there is no average: the group elects one member's content, and all take it."""

from __future__ import annotations

from dataclasses import dataclass

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser.torch.model_content import ModelContent, NamedTensor, as_bytes
from hawser.torch.site import shard

__all__ = ["ElectedContent"]


@dataclass
class _Entry:
    key: str
    tensor: NamedTensor
    shared: torch.Tensor
    is_copy: bool


class ElectedContent:
    """Counters, bools and other buffers that are no floats; and frozen parameters that newcomers fetch (frozen=True).

    Buffers change in each local step, so their shared copy is a staged one. Frozen parameters lie in the shared state
    themselves, unless they are not contiguous.
    """

    def __init__(self, content: ModelContent) -> None:
        self._entries: list[_Entry] = []
        for each in content.elected:
            self._add(f"buffer/{each.name}", each, is_copy=True)
        if content.frozen_choice is True:
            for name, tensor in content.frozen:
                if shard(tensor).numel() > 0:
                    self._add(f"frozen/{name}", NamedTensor.of(name, tensor), not shard(tensor).is_contiguous())

    def _add(self, key: str, tensor: NamedTensor, is_copy: bool) -> None:
        own = shard(tensor.read())
        memory = as_bytes(own.contiguous())
        self._entries.append(_Entry(key, tensor, memory.clone() if is_copy else memory, is_copy))

    def shared(self) -> dict[str, torch.Tensor]:
        """What the group agrees on, as bytes."""
        return {each.key: each.shared for each in self._entries}

    def stage(self) -> None:
        """Offers what the model has now, before a synchronisation. The state must be withdrawn."""
        for each in self._entries:
            if each.is_copy:
                each.shared.copy_(as_bytes(shard(each.tensor.read()).contiguous()))

    def put_back(self) -> None:
        """Gives the model what the group has elected, after a synchronisation."""
        for each in self._entries:
            if each.is_copy:
                own = shard(each.tensor.read())
                own.copy_(each.shared.view(own.dtype).view(own.shape))

    def model(self) -> dict[str, torch.Tensor]:
        """Copies of what was elected, by the names of the model."""
        copies = {}
        for each in self._entries:
            own = shard(each.tensor.read())
            copies[each.tensor.name] = each.shared.clone().view(own.dtype).view(own.shape)
        return copies

    def kept(self) -> dict[str, torch.Tensor]:
        """What the group has, and what the model has."""
        kept: dict[str, torch.Tensor] = {}
        for each in self._entries:
            kept[each.key] = each.shared
            if each.is_copy:
                kept[f"local {each.key}"] = shard(each.tensor.read())
        return kept
