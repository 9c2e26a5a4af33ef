"""What the package takes as a tensor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, Union

__all__ = ["SupportsBuffer", "SupportsCudaArray", "SupportsDLPack", "Tensor", "wait_for_streams"]


class SupportsDLPack(Protocol):
    """NumPy arrays, torch tensors and others that give their memory through DLPack."""

    def __dlpack__(self) -> Any: ...


class SupportsBuffer(Protocol):
    """array.array, memoryview and others that give their memory through the buffer protocol."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class SupportsCudaArray(Protocol):
    """CuPy's, Numba's and JAX's arrays and others that tell where on a GPU they are."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


Tensor = Union[SupportsDLPack, SupportsBuffer, SupportsCudaArray]
"""Memory full of numbers, contiguous in C order. Its shape does not matter, only its elements do. Collectives and
`SharedState` take it on the CPU or on a device. All other calls take it on the CPU.

On a device the work of one stream comes first, and the result is there when the call returns. The stream is torch's
current one for its tensors, and for others the one that `__cuda_array_interface__` names. If that names none, or there
is only DLPack, it is the device's default stream. If a call's tensors are on two devices, the one that it receives into
must be on the default stream of its device. The library keeps the memory until the operation has ended, so no
framework gives it to others meanwhile: `record_stream` is not needed. `SharedState` waits for torch's current streams,
and of other frameworks' tensors for the default stream.

Types: float16, bfloat16, float32, float64, and integers of 8 to 64 bits, signed or not. It is never copied. What is
written to must not be read-only. A torch tensor that requires gradients is taken as its detached self: the same
memory.
"""


def wait_for_streams(tensors: Iterable[Any]) -> None:
    """Blocks until the streams that write these tensors have done what is on them: torch's current streams of their
    devices, and those of simulated tensors.
    """
    devices = set()
    for tensor in tensors:
        if hasattr(tensor, "hawser_stream"):
            tensor.synchronise()
        elif getattr(tensor, "is_cuda", False) is True:
            devices.add(tensor.device)
    if devices:
        import torch

        for device in devices:
            torch.cuda.current_stream(device).synchronize()
