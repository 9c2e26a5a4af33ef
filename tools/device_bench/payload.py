"""What members put in, what must come out, and how it is quantised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

import hawser

PERIOD = 1_048_573  # A prime, in elements.
LARGEST = 7


@dataclass(frozen=True)
class Scheme:
    """A quantisation by the name that `hawser bench all-reduce --quantize` has for it."""

    quantization: hawser.Quantization | None
    # Steps from 0 to the largest value of a block, at least; 0: sums are exact.
    levels: int


SCHEMES = {
    "none": Scheme(None, 0),
    "min-max-8": Scheme(hawser.Quantization.min_max(hawser.QuantizedType.UINT8), 255),
    "zero-point-8": Scheme(hawser.Quantization.zero_point_scale(hawser.QuantizedType.UINT8), 255),
    "block-8": Scheme(hawser.Quantization.blockwise(hawser.QuantizedType.INT8, 256), 127),
    "block-4": Scheme(hawser.Quantization.blockwise(hawser.QuantizedType.INT4, 256), 7),
    "bfloat16": Scheme(hawser.Quantization.cast(hawser.QuantizedType.BFLOAT16), 1 << 7),
    "float16": Scheme(hawser.Quantization.cast(hawser.QuantizedType.FLOAT16), 1 << 10),
}


def _period(member: int) -> Any:
    """Integers from 0 to LARGEST, other ones for each member."""
    mixed = numpy.arange(PERIOD, dtype=numpy.uint32) * numpy.uint32(0x9E3779B1)
    mixed += numpy.uint32((member * 0x85EBCA6B) & 0xFFFFFFFF)
    mixed ^= mixed >> numpy.uint32(15)
    mixed *= numpy.uint32(0x85EBCA77)
    return (mixed >> numpy.uint32(29)).astype(numpy.float32)


class Payload:
    def __init__(self, member: int, world: int) -> None:
        self._world = world
        self._input = _period(member)
        self._sum = sum(_period(other) for other in range(world))

    @staticmethod
    def _in_round(period: Any, number: int, count: int) -> Any:
        return numpy.resize(numpy.roll(period, -(number * 7919) % PERIOD), count)

    def values(self, number: int, count: int) -> Any:
        """Float32 for round `number`."""
        return self._in_round(self._input, number, count)

    def problem(self, number: int, scheme: Scheme, got: Any) -> str:
        """Why `got` is not the sum of what all put into that round; empty: it is."""
        expected = self._in_round(self._sum, number, got.size)
        if numpy.array_equal(got, expected):
            return ""
        # A step for each input, and one for the result, whose values are `world` times as large.
        tolerance = 2 * self._world * LARGEST / scheme.levels if scheme.levels else 0.0
        # A NaN is wrong too.
        wrong = ~(numpy.abs(got - expected) <= tolerance)
        if not wrong.any():
            return ""
        index = int(wrong.argmax())
        return f"element {index} is {got[index]} instead of {expected[index]}"
