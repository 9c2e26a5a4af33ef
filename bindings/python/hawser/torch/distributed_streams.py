"""Where the calls of a torch process group are in the order of a device's streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["StreamOrder"]

_HIGH_PRIORITY = -1
_cuda: Any = torch.cuda  # without types


class StreamOrder:
    """Of one call: after what the caller's current stream had to do, on a stream of its own.

    A stream of its own, because the caller's may wait for the end of the call. Made by the caller's thread. For tensors
    in CPU memory it does nothing. Raises ValueError if the tensors are not all on one device.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        devices = {tensor.device for tensor in tensors}
        if len(devices) > 1:
            names = ", ".join(sorted(map(str, devices)))
            raise ValueError(f"the hawser backend takes tensors of one device in a call, not of {names}")
        self._device = next((device for device in devices if device.type == "cuda"), None)
        self._stream: Any = None
        if self._device is not None:
            self._ready = _cuda.Event()
            self._ready.record(_cuda.current_stream(self._device))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What torch does inside is on that stream, and so is what the library takes for the current one."""
        if self._device is None:
            yield
            return
        if self._stream is None:
            self._stream = _cuda.Stream(self._device, priority=_HIGH_PRIORITY)
            self._stream.wait_event(self._ready)
        with _cuda.stream(self._stream):
            yield

    def synchronize(self) -> None:
        """Blocks until the stream has done all, so that whoever is told of the end of the call sees its outputs."""
        if self._stream is not None:
            self._stream.synchronize()
