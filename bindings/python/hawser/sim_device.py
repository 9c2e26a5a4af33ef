"""Tensors on the simulated device, for tests of programs whose tensors lie on GPUs. The process needs HAWSER_DEVICE=sim
in its environment, with options as in hawser_sim_device.h.

    x = sim_device.Tensor(numpy.ones(1000, numpy.float32), device=1)
    comm.all_reduce(x)
    y = x.numpy()

The memory of such a tensor faults (SIGSEGV) when the host touches it. A stream of its device writes it late, so a call
that does not wait for the stream is found out.
"""

from __future__ import annotations

from typing import Any

from hawser._core import SimulatedTensor, simulated_device_counters

__all__ = ["Tensor", "counters"]


class Tensor:
    """A copy of `array`, an array of NumPy's, on simulated device `device`.

    Collectives and shared states take it through `__cuda_array_interface__`. It has DLPack, too.
    """

    def __init__(self, array: Any, device: int = 0) -> None:
        self._host = array.copy()
        self._memory = SimulatedTensor(self._host, device)

    @property
    def device(self) -> int:
        return self._memory.device

    @property
    def hawser_stream(self) -> int:
        """The stream that has written it: what takes the tensor waits for that."""
        return self._memory.hawser_stream

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        host = self._host.__array_interface__
        return {
            "version": 3,
            "shape": host["shape"],
            "typestr": host["typestr"],
            "data": (self._memory.address, False),
            "strides": host["strides"],
            "stream": self.hawser_stream,
        }

    def synchronise(self) -> None:
        """Blocks until the stream has done what is on it."""
        self._memory.synchronise()

    def __dlpack__(self, **options: Any) -> Any:
        return self._memory.dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (12, self._memory.device)  # kDLExtDev

    def numpy(self) -> Any:
        """What lies there now, as an array of NumPy's. Blocks for the copy."""
        result = self._host.copy()
        self._memory.copy_to(result)
        return result


def counters() -> dict[str, int]:
    """Bytes that calls have copied down and up, and the most pinned memory, of this process."""
    down, up, pinned = simulated_device_counters()
    return {"bytes_down": down, "bytes_up": up, "pinned_bytes_most": pinned}
