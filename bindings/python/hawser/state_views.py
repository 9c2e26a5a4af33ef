"""What a `SharedState` makes of a state_dict: flat names, and a view of each tensor that the library can take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["StateTensors", "flattened", "state_tensors"]

StateTensors = Mapping[str, Any]
"""Name -> tensor, or such a mapping again, as `state_dict()` of an optimiser has them in themselves."""


def flattened(tensors: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with names joined by dots. Raises TypeError for what is no tensor."""
    flat: dict[str, Any] = {}
    for key, value in tensors.items():
        name = f"{prefix}{key}"
        found = flattened(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
        if twice := flat.keys() & found.keys():
            raise ValueError(f"two tensors are called {min(twice)}")
        flat.update(found)
    for name, value in flat.items():
        if not prefix and (value is None or isinstance(value, (str, bool, int, float, complex, list, tuple))):
            raise TypeError(
                f"{name} is {type(value).__name__}, no tensor: leave it out, or put the number into an array of one "
                "element"
            )
    return flat


def state_tensors(flat: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """For each name the one that the group knows it by; and for each of those the tensor whose bytes are shared.

    Types that the library does not have are taken as numbers of the same size (bool and float8 as uint8, complex as
    pairs), tensors in another order of memory (channels_last) in that order, a DTensor as its local part. Members
    must do alike: the group's name says so. What is the same memory as one before it (tied weights) is that one.
    """
    names: dict[str, str] = {}
    views: dict[str, Any] = {}
    known: dict[Any, str] = {}
    for name, tensor in flat.items():
        view, mark = _view_of(tensor)
        place = _place_of(view)
        names[name] = known.setdefault(place, name + mark) if place is not None else name + mark
        views.setdefault(names[name], view)
    return names, views


def _view_of(tensor: Any) -> tuple[Any, str]:
    if type(tensor).__module__.partition(".")[0] == "torch" or hasattr(tensor, "untyped_storage"):
        return _torch_view(tensor)
    if type(tensor).__module__.partition(".")[0] == "numpy":
        return _numpy_view(tensor)
    return tensor, ""


def _torch_view(tensor: Any) -> tuple[Any, str]:
    import torch

    mark = ""
    if hasattr(tensor, "to_local"):
        tensor, mark = tensor.to_local(), mark + ":local"
    tensor = tensor.detach()
    tensor, order = _in_order_of_memory(tensor, tensor.stride(), tensor.is_contiguous(), tensor.permute)
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_complex():
        return torch.view_as_real(tensor), mark + order + ":" + kind
    if kind == "bool" or kind.startswith("float8"):
        return tensor.view(torch.uint8), mark + order + ":" + kind
    return tensor, mark + order


def _numpy_view(array: Any) -> tuple[Any, str]:
    array, order = _in_order_of_memory(array, array.strides, array.flags.c_contiguous, lambda o: array.transpose(o))
    if array.dtype.kind == "b":
        return array.view("uint8"), order + ":bool"
    if array.dtype.kind == "c" and array.dtype.itemsize in (8, 16):
        parts = array.reshape(-1).view("float32" if array.dtype.itemsize == 8 else "float64")
        return parts, order + ":" + str(array.dtype)
    return array, order


def _in_order_of_memory(tensor: Any, strides: tuple[int, ...], is_contiguous: bool, permute: Any) -> tuple[Any, str]:
    if is_contiguous:
        return tensor, ""
    # Dimensions of one element have any stride: they stay where they are among those of the same stride.
    order = sorted(range(len(strides)), key=lambda one: (-strides[one], one))
    return permute(order), "@" + ".".join(map(str, order))


def _place_of(view: Any) -> Any:
    """The same for two views of the same memory. None: it is not known."""
    if hasattr(view, "data_ptr") and hasattr(view, "device"):
        empty = view.numel() == 0
        return None if empty else ("torch", str(view.device), view.data_ptr(), view.numel(), str(view.dtype))
    if hasattr(view, "__array_interface__"):
        empty = view.size == 0
        return None if empty else ("numpy", view.__array_interface__["data"][0], view.size, str(view.dtype))
    return None
