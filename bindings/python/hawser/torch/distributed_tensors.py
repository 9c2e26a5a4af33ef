"""The tensors that a torch process group takes, and how they travel."""

from __future__ import annotations

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["DEVICE_TYPES", "TRAVELS", "checked", "is_plain", "plain", "wire"]

DEVICE_TYPES = ["cpu", "cuda"]
"""Of torch, whose tensors are taken as they are."""
TRAVELS = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
}
"""The library knows them. All others travel as bytes."""


def checked(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor apart from autograd. Raises TypeError unless it lies in CPU memory or on CUDA as a dense one."""
    if tensor.device.type not in DEVICE_TYPES:
        raise TypeError(
            f"the hawser backend takes tensors in CPU memory and on CUDA, not on {tensor.device}; copy it there first"
        )
    if tensor.layout != torch.strided:
        raise TypeError(f"the hawser backend takes dense tensors, not {tensor.layout}; call to_dense() first")
    return tensor.detach()


def is_plain(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous() and not tensor.is_conj() and not tensor.is_neg()


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Its elements in C order: the tensor itself where it is so already."""
    return tensor if is_plain(tensor) else tensor.resolve_conj().resolve_neg().contiguous()


def wire(tensor: torch.Tensor) -> torch.Tensor:
    """The memory of a plain tensor, in a type that travels: bytes unless the library knows its own."""
    flat = tensor.view(-1)
    return flat if tensor.dtype in TRAVELS else flat.view(torch.uint8)
