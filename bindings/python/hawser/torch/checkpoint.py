"""What a member continues from: read, and compared with the model before anything of it is taken."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["Resume", "check_checkpoint", "read_checkpoint"]

Resume = Union[None, dict[str, Any], str, "os.PathLike[str]"]
"""A `state_dict()`, or the file that torch.save has written one to."""

_LINES_MAX = 8
_KINDS = {
    "outer": "parameter",
    "local": "parameter",
    "outer of buffer": "buffer",
    "local of buffer": "buffer",
    "frozen": "frozen parameter",
    "buffer": "buffer",
    "momentum": "momentum of parameter",
    "start": "window start of parameter",
    "user": "user_state",
    "local user": "user_state",
}


def read_checkpoint(resume: Any) -> tuple[dict[str, Any], str]:
    """The dictionary, and how sentences call it. Raises what torch.load raises, ValueError (no such dictionary)."""
    if isinstance(resume, dict):
        saved, source = resume, "the checkpoint given as resume"
    else:
        source = f"the checkpoint {os.fspath(resume)}"
        saved = torch.load(Path(resume), map_location="cpu", weights_only=True)
    missing = {"inner", "tensors", "weights", "revision", "outer_steps"} - set(saved if isinstance(saved, dict) else ())
    if missing:
        raise ValueError(
            f"{source} is no state_dict() of hawser.torch: it has no {', '.join(sorted(missing))}. Save what "
            "state_dict() of the DiLoCo object returns, not of the model"
        )
    return saved, source


def check_checkpoint(
    saved: Mapping[str, Any], source: str, expected: Mapping[str, torch.Tensor], owner: str, reductions: int
) -> None:
    """Raises ValueError, which names tensors and shapes, if this checkpoint is not of this model and these settings.

    expected: tensors of the right shapes, by their keys in the checkpoint.
    """
    by = saved.get("class", owner)
    if by != owner:
        raise ValueError(f"{source} was saved by {by}, and this is {owner}; resume it with {by}")
    tensors = saved["tensors"]
    differing: dict[str, str] = {}  # one line for each name
    for key in sorted(expected, key=lambda key: not _has_shape(key)):
        name, shape = _name(key), tuple(expected[key].shape)
        if key not in tensors:
            differing.setdefault(name, f"{_said(key)} {_of(key, shape)}is in the model and not in the checkpoint")
        elif tensors[key].shape != expected[key].shape:
            theirs = tuple(tensors[key].shape)
            differing.setdefault(name, f"{_said(key)} is {shape} in the model and {theirs} in the checkpoint")
    for key in sorted(set(tensors) - set(expected), key=lambda key: not _has_shape(key)):
        shape = tuple(tensors[key].shape)
        differing.setdefault(_name(key), f"{_said(key)} {_of(key, shape)}is in the checkpoint and not in the model")
    lines = list(differing.values())
    if not lines and len(saved["weights"]) != reductions:
        lines = [f"it has {len(saved['weights'])} fragments, and this has {reductions}"]
    if lines:
        more = f"; and {len(lines) - _LINES_MAX} more" if len(lines) > _LINES_MAX else ""
        raise ValueError(
            f"{source} is of another model or other settings: {'; '.join(lines[:_LINES_MAX])}{more}. Give all members "
            "the model and settings that it was saved with, or start without resume"
        )


def _name(key: str) -> str:
    return key.partition("/")[2]


def _has_shape(key: str) -> bool:
    """Whether it has the shape that people know; outer copies are flat."""
    return key.startswith(("local", "buffer/", "frozen/"))


def _of(key: str, shape: tuple[int, ...]) -> str:
    return f"{shape} " if _has_shape(key) else ""


def _said(key: str) -> str:
    kind, _, name = key.removeprefix("local ").partition("/") if key.startswith("local buffer/") else key.partition("/")
    return f"{_KINDS.get(kind, kind)} {name}"
