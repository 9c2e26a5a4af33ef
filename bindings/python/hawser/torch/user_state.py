"""What a script wants all members to have alike beside the model, as bytes of fixed length."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser.torch.model_content import as_bytes

__all__ = ["OBJECT_BYTES", "UserEntry", "entry_of"]

OBJECT_BYTES = 1 << 16
"""For what an object's state_dict() becomes."""
_LENGTH_BYTES = 8


@dataclass
class UserEntry:
    """A piece of a script's state. `read` gives bytes, always as many, and `write` takes them."""

    name: str
    read: Callable[[], torch.Tensor]
    write: Callable[[torch.Tensor], None]


def entry_of(name: str, given: Any) -> UserEntry:
    """Of a tensor, a torch.Generator, or an object with state_dict and load_state_dict. Raises TypeError."""
    if torch.is_tensor(given):
        return _tensor(name, given)
    if isinstance(given, torch.Generator):
        return UserEntry(name, lambda: given.get_state().clone(), lambda state: _set_generator(given, state))
    if callable(getattr(given, "state_dict", None)) and callable(getattr(given, "load_state_dict", None)):
        return UserEntry(name, lambda: _packed(name, given.state_dict()), lambda state: _load(given, state))
    raise TypeError(
        f"{name} of user_state is a {type(given).__name__}; give a tensor, a torch.Generator, or an object with "
        "state_dict() and load_state_dict()"
    )


def _tensor(name: str, tensor: torch.Tensor) -> UserEntry:
    own = tensor.detach()
    if own.numel() == 0:
        raise TypeError(f"{name} of user_state has no elements")

    def write(state: torch.Tensor) -> None:
        own.copy_(state.view(own.dtype).view(own.shape))

    return UserEntry(name, lambda: as_bytes(own.contiguous()).clone(), write)


def _set_generator(generator: torch.Generator, state: torch.Tensor) -> None:
    generator.set_state(state.clone())


def _packed(name: str, state: Any) -> torch.Tensor:
    file = io.BytesIO()
    torch.save(state, file)
    data = file.getvalue()
    if len(data) > OBJECT_BYTES - _LENGTH_BYTES:
        raise ValueError(
            f"the state_dict() of {name} of user_state takes {len(data)} bytes; at most {OBJECT_BYTES - _LENGTH_BYTES} "
            "are sent. Give large content as tensors"
        )
    packed = torch.zeros(OBJECT_BYTES, dtype=torch.uint8, device="cpu")
    framed = len(data).to_bytes(_LENGTH_BYTES, "big") + data
    packed[: len(framed)] = torch.frombuffer(bytearray(framed), dtype=torch.uint8)
    return packed


def _load(given: Any, packed: torch.Tensor) -> None:
    raw = bytes(packed.tolist())
    length = int.from_bytes(raw[:_LENGTH_BYTES], "big")
    data = io.BytesIO(raw[_LENGTH_BYTES : _LENGTH_BYTES + length])
    # Other members have made this: nothing but tensors and plain values is built of it.
    given.load_state_dict(torch.load(data, weights_only=True))
    if hasattr(given, "get_last_lr") and hasattr(given, "optimizer"):
        # A scheduler does not tell its optimizer before its next step, and some schedules go on from what is there.
        for group, rate in zip(given.optimizer.param_groups, given.get_last_lr()):
            group["lr"] = rate
