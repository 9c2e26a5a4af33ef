"""What all-reduces cost a GPU that multiplies matrices meanwhile, and what that costs the all-reduces."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy

import hawser
from device_bench.memory import Host, Memory, Torch
from device_bench.payload import Payload

ALONE_S = 3.0
BATCH = 8


class Matmuls:
    """Products of two matrices on a stream of their own."""

    def __init__(self, memory: Torch) -> None:
        torch = memory.torch
        self.memory = memory
        on_gpu = memory.device.type == "cuda"
        self._torch = torch
        self._stream = torch.cuda.Stream() if on_gpu else None
        width, kind = (8192, torch.bfloat16) if on_gpu else (512, torch.float32)
        self._a, self._b = (torch.randn(width, width, device=memory.device, dtype=kind) for _ in range(2))
        self._out = torch.empty_like(self._a)
        memory.settle()
        self._batch()

    def _batch(self) -> float:
        """Milliseconds of one product."""
        begun = time.perf_counter()
        if self._stream is None:
            for _ in range(BATCH):
                self._torch.mm(self._a, self._b, out=self._out)
        else:
            with self._torch.cuda.stream(self._stream):
                for _ in range(BATCH):
                    self._torch.mm(self._a, self._b, out=self._out)
            self._stream.synchronize()
        return 1e3 * (time.perf_counter() - begun) / BATCH

    def median_ms(self, goes_on: Callable[[], bool]) -> float:
        times = [self._batch()]
        while goes_on():
            times.append(self._batch())
        return statistics.median(times)


def measure_matmuls(
    comm: hawser.Communicator, payload: Payload, matmuls: Matmuls | None, size: int, rounds: int
) -> dict[str, Any] | None:
    """Only the member with `matmuls` has its tensors on the device, so that no other process shares the GPU. The others
    get None."""
    memory: Memory = matmuls.memory if matmuls else Host()
    send = memory.put(payload.values(0, size // 4))
    receive = memory.put(numpy.zeros(size // 4, numpy.float32))
    memory.settle()

    def all_reduces() -> float:
        times = []
        for _ in range(rounds + 1):
            comm.barrier()
            begun = time.perf_counter()
            comm.all_reduce(send, receive)
            times.append(1e3 * (time.perf_counter() - begun))
        return statistics.median(times[1:])

    comm.barrier()
    end = time.perf_counter() + ALONE_S
    matmul_alone_ms = matmuls.median_ms(lambda: time.perf_counter() < end) if matmuls else 0.0
    alone_ms = all_reduces()
    if not matmuls:
        all_reduces()
        return None
    ended = threading.Event()
    together: list[float] = []

    def reduce_beside() -> None:
        try:
            together.append(all_reduces())
        finally:
            ended.set()

    thread = threading.Thread(target=reduce_beside)
    thread.start()
    matmul_beside_ms = matmuls.median_ms(lambda: not ended.is_set())
    thread.join()
    if not together:
        raise SystemExit("bench_device: an all-reduce beside the matmuls failed; its error is above")
    return {
        "size": size,
        "matmul_alone_ms": matmul_alone_ms,
        "matmul_beside_ms": matmul_beside_ms,
        "alone_ms": alone_ms,
        "beside_ms": together[0],
    }
