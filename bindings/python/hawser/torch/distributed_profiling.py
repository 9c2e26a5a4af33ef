"""The calls of a torch process group as torch's profiler shows them: "hawser:all_reduce", as "gloo:all_reduce"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
from torch.futures import Future  # type: ignore[import-not-found,unused-ignore]

__all__ = ["CallRecord", "recorded"]

_autograd: Any = torch.autograd  # without types
_PREFIX = "hawser:"


class CallRecord:
    """From the call to its end, with the shapes of its inputs. Ended by any thread."""

    def __init__(self, title: str, inputs: Sequence[torch.Tensor]) -> None:
        handle = _autograd._record_function_with_args_enter(_PREFIX + title, *inputs)
        self._ended: Future[None] = Future()
        # Torch ends the event when the future has a value, as part of the profile of the thread that is here.
        self._profiled = torch.ops.profiler._call_end_callbacks_on_jit_fut._RecordFunction(handle, self._ended)

    def end(self) -> None:
        self._ended.set_result(None)


def recorded(title: str, inputs: Sequence[torch.Tensor]) -> CallRecord | None:
    """None while nobody profiles."""
    return CallRecord(title, inputs) if _autograd._profiler_enabled() else None
