"""Where tensors lie: each kind makes a tensor from an array of NumPy's, and reads one back."""

from __future__ import annotations

import zlib
from typing import Any, Protocol

from hawser import sim_device


class Memory(Protocol):
    def put(self, array: Any) -> Any:
        """A tensor with a copy of `array`."""

    def read(self, tensor: Any) -> Any:
        """An array with what the tensor holds."""

    def settle(self) -> None:
        """Blocks until the device has done all that it was asked for."""


class Host:
    def put(self, array: Any) -> Any:
        return array.copy()

    def read(self, tensor: Any) -> Any:
        return tensor

    def settle(self) -> None:
        pass


class Simulated:
    def put(self, array: Any) -> Any:
        tensor = sim_device.Tensor(array)
        # This waits for its stream, so that no measured call does.
        tensor.numpy()
        return tensor

    def read(self, tensor: Any) -> Any:
        return tensor.numpy()

    def settle(self) -> None:
        pass


class Torch:
    """`device`: "cuda", or "cpu" to check this program where there is no GPU."""

    def __init__(self, device: str) -> None:
        import torch

        self.torch = torch
        self.device = torch.device(device)

    def put(self, array: Any) -> Any:
        return self.torch.from_numpy(array.copy()).to(self.device)

    def read(self, tensor: Any) -> Any:
        return tensor.cpu().numpy()

    def settle(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()


def memory_of(device: str) -> Memory:
    return Simulated() if device == "sim" else Torch(device)


def bits(array: Any) -> int:
    """Differs where two arrays differ."""
    return zlib.crc32(array)
