"""What the members of a group must set alike beyond their calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator, Quantization
from hawser.errors import InvalidArgument

__all__ = ["Settings", "described_model", "described_quantization"]

_BYTES = 8192


class Settings:
    """Names and values that all members of a group have alike.

    A communicator that is not connected yet states them as terms: a newcomer that differs is refused at its admission.
    For one that is, they are also in the shared state, as text in `tensor`: who differs finds out at its first
    synchronisation.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(sorted(values.items()))
        text = json.dumps(self._values).encode()
        if len(text) > _BYTES:
            raise ValueError("the settings are too long to be compared with those of the group")
        self.tensor = torch.zeros(_BYTES, dtype=torch.uint8, device="cpu")
        self.tensor[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        self._own = self.tensor.clone()

    def state(self, comm: Communicator) -> None:
        """Before it connects."""
        for name, value in self._values.items():
            comm.set_term(name, value)

    def check(self) -> None:
        """After a synchronisation of `tensor`. Raises InvalidArgument, with what differs, if the group's is another."""
        if torch.equal(self.tensor, self._own):
            return
        theirs: dict[str, str] = json.loads(bytes(self.tensor.tolist()).rstrip(b"\0"))
        names = sorted({*self._values, *theirs})
        differing = [
            f"{name} is {self._values.get(name, 'nothing')!r} here and {theirs.get(name, 'nothing')!r} there"
            for name in names
            if self._values.get(name) != theirs.get(name)
        ]
        raise InvalidArgument(
            f"this peer was set up otherwise than its group: {'; '.join(differing)}. Its communicator is closed, so that "
            "the others go on; give all members the same settings"
        )


def described_model(tensors: Mapping[str, torch.Tensor]) -> str:
    """What tells models apart, in few words."""
    lines = [f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in sorted(tensors.items())]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    count = sum(tensor.numel() for tensor in tensors.values())
    return f"{len(tensors)} tensors, {count} values, names and shapes {digest}"


def described_quantization(quantization: Quantization | None) -> str:
    """The quantisation in few words."""
    if quantization is None:
        return "none"
    text = f"{quantization.scheme.name} to {quantization.type.name}"
    if quantization.block:
        text += f", blocks of {quantization.block}"
    return text + (", stochastic" if quantization.stochastic else "")
