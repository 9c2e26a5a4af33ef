"""torch.compile does not trace what torch's C++ calls of a process group, also below a compiled call (DDP's reducer)."""

from __future__ import annotations

from types import CodeType
from typing import Any, TypeVar

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["untraced", "untraced_methods"]

T = TypeVar("T", bound=type)
# What torch.compiler.disable comes down to; that one would import all of torch's compiler, for a second or two.
_frames: Any = torch._C._dynamo.eval_frame


def untraced(code: CodeType) -> None:
    """It runs as it is, and all that it calls."""
    if hasattr(_frames, "set_code_exec_strategy"):
        skip = _frames._FrameAction.SKIP
        _frames.set_code_exec_strategy(code, _frames._FrameExecStrategy(skip, skip))
    elif hasattr(_frames, "skip_code"):  # before torch 2.7: that code alone
        _frames.skip_code(code)


def untraced_methods(cls: T) -> T:
    """Of a class that C++ calls."""
    for member in vars(cls).values():
        code = getattr(member.fget if isinstance(member, property) else member, "__code__", None)
        if isinstance(code, CodeType):
            untraced(code)
    return cls
