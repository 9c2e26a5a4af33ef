"""Choices that may be given by name: op="avg", plan="ring", quantization="int8"."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from hawser._core import Plan, Quantization, QuantizedType, ReduceOp, Role
from hawser.errors import InvalidArgument

__all__ = ["plan_of", "quantization_of", "reduce_op_of", "role_of"]

Choice = TypeVar("Choice", bound=Enum)

_QUANTIZATIONS: dict[str, Callable[[], Quantization | None]] = {
    "none": lambda: None,
    "int8": lambda: Quantization.blockwise(QuantizedType.INT8, 256),
    "int4": lambda: Quantization.blockwise(QuantizedType.INT4, 64),
    "bfloat16": lambda: Quantization.cast(QuantizedType.BFLOAT16),
    "float16": lambda: Quantization.cast(QuantizedType.FLOAT16),
}


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _member_of(kind: type[Choice], value: object, argument: str) -> Choice:
    if isinstance(value, kind):
        return value
    names = [name.lower() for name in kind.__members__]
    if isinstance(value, str):
        if value.lower() in names:
            return kind[value.upper()]
        raise InvalidArgument(f"{argument} is {value!r}; give a hawser.{kind.__name__} or one of {_listed(names)}")
    raise TypeError(f"{argument} is {value!r}; give a hawser.{kind.__name__} or one of {_listed(names)}")


def reduce_op_of(value: ReduceOp | str) -> ReduceOp:
    """Raises InvalidArgument (no such name), TypeError (neither an op nor a name)."""
    return _member_of(ReduceOp, value, "op")


def plan_of(value: Plan | str) -> Plan:
    """Raises InvalidArgument (no such name), TypeError (neither a plan nor a name)."""
    return _member_of(Plan, value, "plan")


def role_of(value: Role | str) -> Role:
    """Raises InvalidArgument (no such name), TypeError (neither a role nor a name)."""
    return _member_of(Role, value, "role")


def quantization_of(value: Quantization | str | None) -> Quantization | None:
    """The names are those of docs/quantization.md, "which one to take".

    Raises InvalidArgument (no such name), TypeError (neither a quantisation nor a name).
    """
    if value is None or isinstance(value, Quantization):
        return value
    wanted = f"quantization is {value!r}; give a hawser.Quantization, None, or one of {_listed(list(_QUANTIZATIONS))}"
    if not isinstance(value, str):
        raise TypeError(wanted)
    make = _QUANTIZATIONS.get(value.lower())
    if make is None:
        raise InvalidArgument(wanted)
    return make()
