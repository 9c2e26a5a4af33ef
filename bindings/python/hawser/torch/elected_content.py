"""Tensors of a model of which there is no average: the group elects one member's content, and all take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser.torch.model_content import ModelContent, NamedTensor, as_bytes
from hawser.torch.site import shard
from hawser.torch.user_state import UserEntry

__all__ = ["ElectedContent"]


@dataclass
class _Entry:
    key: str
    tensor: NamedTensor
    shared: torch.Tensor
    is_copy: bool


class ElectedContent:
    """Counters, bools and other buffers that are no floats; frozen parameters that newcomers fetch (frozen=True); and
    the script's own state (user_state).

    Buffers change in each local step, so their shared copy is a staged one. Frozen parameters lie in the shared state
    themselves, unless they are not contiguous.
    """

    def __init__(self, content: ModelContent, user: Sequence[UserEntry] = ()) -> None:
        self._entries: list[_Entry] = []
        self._user = list(user)
        self._user_shared = {each.name: each.read() for each in self._user}
        self._user_staged = {name: staged.clone() for name, staged in self._user_shared.items()}
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
        own = {each.key: each.shared for each in self._entries}
        return {**own, **{f"user/{name}": shared for name, shared in self._user_shared.items()}}

    def stage(self) -> None:
        """Offers what the model has now, before a synchronisation. The state must be withdrawn."""
        for each in self._entries:
            if each.is_copy:
                each.shared.copy_(as_bytes(shard(each.tensor.read()).contiguous()))
        for user in self._user:
            self._user_shared[user.name].copy_(user.read())
            self._user_staged[user.name].copy_(self._user_shared[user.name])

    def put_back(self) -> None:
        """Gives the model what the group has elected, after a synchronisation."""
        for each in self._entries:
            if each.is_copy:
                own = shard(each.tensor.read())
                own.copy_(each.shared.view(own.dtype).view(own.shape))
        for user in self._user:
            elected = self._user_shared[user.name]
            if not torch.equal(elected, self._user_staged[user.name]):
                user.write(elected)
                self._user_staged[user.name].copy_(elected)

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

    def user_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint has of the script's own state: as elected, and as it is now."""
        saved = {f"user/{name}": shared.clone() for name, shared in self._user_shared.items()}
        return {**saved, **{f"local user/{user.name}": user.read() for user in self._user}}

    def load_user_state(self, saved: Mapping[str, torch.Tensor]) -> None:
        """From `user_state`."""
        for user in self._user:
            self._user_shared[user.name].copy_(saved[f"user/{user.name}"])
            self._user_staged[user.name].copy_(saved[f"user/{user.name}"])
            user.write(saved[f"local user/{user.name}"])
