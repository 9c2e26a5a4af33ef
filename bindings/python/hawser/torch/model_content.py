"""What a model is made of: trained parameters, frozen ones, buffers; and whether it is still the same model."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Literal, Union

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import SharedState
from hawser.torch.site import shard

__all__ = ["Buffers", "Frozen", "ModelContent", "NamedTensor", "Parameters", "as_bytes", "described_optimizer"]

Parameters = Union["torch.nn.Module", Iterable["torch.Tensor"], Iterable[tuple[str, "torch.Tensor"]]]
"""The module, `model.named_parameters()` or `model.parameters()`."""
Buffers = Union[None, Literal["local"], Iterable[tuple[str, "torch.Tensor"]]]
"""None: those of the module. "local": each member keeps its own. Or `model.named_buffers()`."""
Frozen = Union[bool, Literal["local"]]
"""False: equal on all members, and not sent. True: fetched by newcomers. "local": each member keeps its own."""

_FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_NAMES_MAX = 8
_Shape = tuple[Any, Any, Any]


@dataclass(frozen=True)
class NamedTensor:
    """A tensor of the model. `read` gives the one that the model has now: buffers may be assigned anew."""

    name: str
    read: Callable[[], Any]

    @staticmethod
    def of(name: str, tensor: torch.Tensor) -> NamedTensor:
        """One that stays the same object."""
        return NamedTensor(name, lambda: tensor)


class ModelContent:
    """The tensors of a model, sorted by what the group does with them.

    Args:
        given: the module, `named_parameters()` or `parameters()`. The generators of these two lead to their module.
        buffers, frozen: see `Buffers` and `Frozen`.
        owner: the name of the class that was given the model, for sentences.

    Tied weights count once, under their first name. Buffers that the module does not save (persistent=False) are no
    part of the model. Raises ValueError (no parameter is trained), TypeError.
    """

    def __init__(self, given: Parameters, buffers: Buffers = None, frozen: Frozen = False, owner: str = "") -> None:
        if frozen not in (True, False, "local"):
            raise ValueError(f'frozen is {frozen!r}; give True, False or "local"')
        if isinstance(buffers, str) and buffers != "local":
            raise ValueError(f'buffers is {buffers!r}; give None, "local" or model.named_buffers()')
        self._owner = owner or "this object"
        self.module = _module_of(given)
        self.trained: list[tuple[str, torch.Tensor]] = []
        self.frozen: list[tuple[str, torch.Tensor]] = []
        self._sort(given)
        if isinstance(buffers, str):
            found: list[NamedTensor] = []
        elif buffers is not None:
            found = [NamedTensor.of(name, tensor) for name, tensor in buffers]
        else:
            found = list(_buffers_of(self.module))
        found = [each for each in found if shard(each.read()).numel() > 0]
        self.averaged = [each for each in found if each.read().dtype in _FLOATS]
        self.elected = [each for each in found if each.read().dtype not in _FLOATS]
        self._finds_buffers = buffers is None
        self.frozen_choice: Frozen = frozen
        self._shapes = {id(tensor): _shape(tensor) for _, tensor in (*self.trained, *self.frozen)}
        self._buffer_shapes = {each.name: _shape(each.read()) for each in found}
        self._persistent = {each.name for each in _buffers_of(self.module)}
        self._names_then = {name for name, _ in _all_parameters(self.module)}
        self._frozen_digests: dict[str, str] = {}
        self._versions: dict[str, tuple[int, int]] = {}
        if frozen is False:
            self._frozen_digests = {name: _digest(name, tensor) for name, tensor in self.frozen}
            self._versions = {name: _version(tensor) for name, tensor in self.frozen}
        self._foreign: set[int] = set()
        if self.module is None and buffers is None:
            logging.getLogger("hawser").warning(
                "%s was given parameters without their module, so it does not see buffers (such as BatchNorm's running "
                "statistics): they stay each member's own. Give it the module, or buffers=model.named_buffers(), or "
                'buffers="local" if that is meant',
                self._owner,
            )

    def _sort(self, given: Any) -> None:
        seen: set[int] = set()
        if isinstance(given, torch.nn.Module):
            given = given.named_parameters()
        for position, each in enumerate(given):
            name, parameter = each if isinstance(each, tuple) else (str(position), each)
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if not parameter.requires_grad:
                self.frozen.append((name, parameter))
                continue
            if parameter.dtype not in _FLOATS:
                raise TypeError(f"parameter {name} is of {parameter.dtype}, not one of {_FLOATS}")
            self.trained.append((name, parameter))
        if not self.trained:
            raise ValueError("there are no parameters that require gradients")

    # ------------------------------------------------------------------------------------------ comparison

    def described_frozen(self) -> str:
        """What all members must have alike of the frozen parameters, in few words; empty if there are none."""
        if not self.frozen or self.frozen_choice == "local":
            return ""
        shapes = _short(f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in self.frozen)
        text = f"{len(self.frozen)} tensors, names and shapes {shapes}"
        if self.frozen_choice is True:
            return text + ", fetched"
        return f"{text}, content {self._frozen_content()} (frozen=True fetches it)"

    def frozen_digest(self) -> str:
        """Of the frozen parameters as they are now, if all members must have them alike without sending them."""
        if self.frozen_choice is not False or not self.frozen:
            return ""
        return _short(f"{name} {_digest(name, tensor)}" for name, tensor in self.frozen)

    def _frozen_content(self) -> str:
        return _short(f"{name} {digest}" for name, digest in self._frozen_digests.items())

    def note_optimizer(self, optimizer: Any) -> None:
        """Warns of parameters that the inner optimiser steps and the group does not average."""
        own = {id(tensor) for _, tensor in (*self.trained, *self.frozen)}
        strangers = []
        for index, group in enumerate(getattr(optimizer, "param_groups", [])):
            for position, parameter in enumerate(group["params"]):
                if id(parameter) not in own:
                    self._foreign.add(id(parameter))
                    if parameter.requires_grad:
                        strangers.append(f"number {position} of group {index}, {tuple(parameter.shape)}")
        if strangers:
            logging.getLogger("hawser").warning(
                "the inner optimizer steps parameters that %s was not given (%s): they are not averaged, and differ "
                "from member to member",
                self._owner,
                _listed(strangers),
            )

    def check(self, optimizer: Any = None) -> None:
        """Raises RuntimeError, which names what has changed, if this is not the model that it was. Does not block.

        Frozen parameters are read again only if torch has counted a change of them.
        """
        changes = [*self._changes_of_parameters(), *self._changes_of_buffers(), *self._changes_of_frozen()]
        if not changes and optimizer is not None:
            changes = list(self._changes_of_optimizer(optimizer))
        if changes:
            raise RuntimeError(
                f"the model is not the one that {self._owner} was made with: {_listed(changes)}. Nothing would average "
                "this. Change the model before it is given, or make a new object on all members after the same outer "
                "step"
            )

    def _changes_of_parameters(self) -> Iterator[str]:
        known = self._shapes
        now = dict(_all_parameters(self.module))
        is_sharded = any(hasattr(tensor, "to_local") for _, tensor in self.trained)
        for name, tensor in now.items():
            if name not in self._names_then:
                yield f"parameter {name} was added"
            elif id(tensor) not in known and not is_sharded:  # FSDP2 puts others in their places for a while
                yield f"parameter {name} was replaced by another tensor"
        for name in sorted(self._names_then - set(now)):
            yield f"parameter {name} was removed"
        for name, tensor in self.frozen:
            if tensor.requires_grad:
                yield f"parameter {name} was frozen then, and is trained now"
        for name, tensor in (*self.trained, *self.frozen):
            if _shape(tensor) != known[id(tensor)]:
                yield f"parameter {name} was {_said(known[id(tensor)])} then, and is {_said(_shape(tensor))} now"

    def _changes_of_buffers(self) -> Iterator[str]:
        if self._finds_buffers:
            now = {each.name for each in _buffers_of(self.module)}
            yield from (f"buffer {name} was added" for name in sorted(now - self._persistent))
            yield from (f"buffer {name} was removed" for name in sorted(self._persistent - now))
            if now != self._persistent:
                return
        for each in (*self.averaged, *self.elected):
            then, shape = self._buffer_shapes[each.name], _shape(each.read())
            if then != shape:
                yield f"buffer {each.name} was {_said(then)} then, and is {_said(shape)} now"

    def _changes_of_frozen(self) -> Iterator[str]:
        if self.frozen_choice is not False:
            return
        for name, tensor in self.frozen:
            version = _version(tensor)
            if version == self._versions[name] or tensor.requires_grad:
                continue
            if _digest(name, tensor) != self._frozen_digests[name]:
                yield (
                    f'frozen parameter {name} was written to (give frozen=True if all shall have one content, "local" '
                    "if each has its own)"
                )
            else:
                self._versions[name] = version

    def _changes_of_optimizer(self, optimizer: Any) -> Iterator[str]:
        for index, group in enumerate(getattr(optimizer, "param_groups", [])):
            for position, parameter in enumerate(group["params"]):
                if parameter.requires_grad and id(parameter) not in self._shapes and id(parameter) not in self._foreign:
                    yield (
                        f"the inner optimizer steps a parameter that was added (number {position} of group {index}, "
                        f"{tuple(parameter.shape)})"
                    )

    # --------------------------------------------------------------------------------------------- the whole

    def aliases(self) -> dict[str, str]:
        """Further names of tied weights, and the name that each is known by."""
        first = {id(tensor): name for name, tensor in (*self.trained, *self.frozen)}
        return {
            name: first[id(tensor)]
            for name, tensor in _all_parameters(self.module)
            if id(tensor) in first and first[id(tensor)] != name
        }

    def local_buffers(self) -> list[tuple[str, torch.Tensor]]:
        """Of the module, all that it saves: each by its name, and as it is now."""
        return [(each.name, each.read()) for each in _buffers_of(self.module)]

    def described(self) -> dict[str, torch.Tensor]:
        """Buffers under their names, for a comparison of names, shapes and types."""
        return {f"buffer/{each.name}": shard(each.read()) for each in (*self.averaged, *self.elected)}


def described_optimizer(optimizer: Any, trained: Iterable[tuple[str, torch.Tensor]]) -> str:
    """The class of an optimiser and which parameters are in which of its groups, in few words."""
    name_of = {id(tensor): name for name, tensor in trained}
    groups = getattr(optimizer, "param_groups", [])
    names = [[name_of[id(each)] for each in group["params"] if id(each) in name_of] for group in groups]
    count = sum(len(each) for each in names)
    return f"{type(optimizer).__name__[:40]}, {len(groups)} groups, {count} parameters, names {_short(map(str, names))}"


def _module_of(given: Any) -> Any:
    """The module that parameters are of; None if that can't be seen."""
    if isinstance(given, torch.nn.Module):
        return given
    if not inspect.isgenerator(given) or inspect.getgeneratorstate(given) != inspect.GEN_CREATED:
        return None
    if given.gi_code.co_name not in ("parameters", "named_parameters"):
        return None
    its = inspect.getgeneratorlocals(given)
    module = its.get("self")
    is_whole = its.get("recurse", True) and not its.get("prefix") and its.get("remove_duplicate", True)
    return module if isinstance(module, torch.nn.Module) and is_whole else None


def _all_parameters(module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """All names, also of tied weights."""
    if module is not None:
        yield from module.named_parameters(remove_duplicate=False)


def _buffers_of(module: Any) -> Iterator[NamedTensor]:
    """Those that the module saves, each once."""
    if module is None:
        return
    seen: set[int] = set()
    for prefix, part in module.named_modules():
        transient: set[str] = getattr(part, "_non_persistent_buffers_set", set())
        for name, tensor in part.named_buffers(recurse=False):
            if name in transient or id(tensor) in seen:
                continue
            seen.add(id(tensor))
            yield NamedTensor(f"{prefix}.{name}" if prefix else name, partial(part.get_buffer, name))


def _shape(tensor: torch.Tensor) -> _Shape:
    return tensor.shape, tensor.dtype, tensor.device


def _said(shape: _Shape) -> str:
    size, dtype, device = shape
    return f"{tuple(size)} {str(dtype).removeprefix('torch.')} on {device}"


def _version(tensor: torch.Tensor) -> tuple[int, int]:
    """Changes whenever torch writes to it, `tensor.data` apart."""
    try:
        return int(tensor._version), shard(tensor).data_ptr()
    except RuntimeError:  # an inference tensor, which can't be written to
        return 0, shard(tensor).data_ptr()


def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The memory of a contiguous tensor of any type."""
    return tensor.reshape(-1).view(torch.uint8)


def _digest(name: str, tensor: torch.Tensor) -> str:
    own = shard(tensor)
    if own.numel() == 0:
        return "empty"
    with SharedState({name: as_bytes(own.contiguous())}) as state:
        return state.digest()


def _short(lines: Iterable[str]) -> str:
    return sha256("\n".join(lines).encode()).hexdigest()[:12]


def _listed(what: list[str]) -> str:
    more = len(what) - _NAMES_MAX
    return "; ".join(what[:_NAMES_MAX]) + (f"; and {more} more" if more > 0 else "")
