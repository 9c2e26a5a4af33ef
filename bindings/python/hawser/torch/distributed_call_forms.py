"""The forms in which torch's process groups may be called, as its C++ bindings have them.

A collective takes lists of tensors and an object of options, as torch.distributed calls it; or tensors and operation,
root and timeout by themselves, as programs do that hold a process group. All come out as lists and options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import torch  # type: ignore[import-not-found,unused-ignore]
from torch._C._distributed_c10d import (  # type: ignore[import-not-found,unused-ignore]
    AllgatherOptions,
    AllreduceOptions,
    BarrierOptions,
    BroadcastOptions,
    GatherOptions,
    ReduceOptions,
    ReduceScatterOptions,
    ScatterOptions,
)
from torch.distributed import ReduceOp  # type: ignore[import-not-found,unused-ignore]

__all__ = [
    "ALL_GATHER",
    "ALL_REDUCE",
    "BARRIER",
    "BROADCAST",
    "GATHER",
    "REDUCE",
    "REDUCE_SCATTER",
    "SCATTER",
    "Call",
    "Forms",
]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_tensor, value))


def _is_list_of_lists(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_list, value))


def _is_root(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, (bool, torch.Tensor))


def _is_timeout(value: Any) -> bool:
    return value is None or isinstance(value, timedelta)


def _is_op(value: Any) -> bool:
    return isinstance(value, (ReduceOp, ReduceOp.RedOpType))


class Parameter(NamedTuple):
    name: str
    fits: Callable[[Any], bool]
    field: str = ""
    """Of the options, which it sets. Without: tensors."""
    is_required: bool = True


@dataclass(frozen=True)
class Call:
    """What a collective was called with."""

    tensors: list[Any]
    """One entry for each parameter that is tensors: lists, or lists of lists."""
    options: Any


class Forms:
    """Of one collective: with options first, then those without."""

    def __init__(self, name: str, options: type[Any], *plain: tuple[Parameter, ...], tensors: tuple[Parameter, ...]):
        self._name = name
        self._options = options
        given = Parameter("opts", lambda value: isinstance(value, options), "opts", is_required=False)
        self._forms = [(*tensors, given), *plain]

    def taken(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> Call:
        """Raises TypeError if no form fits."""
        for form in self._forms:
            values = _bound(form, arguments, named)
            if values is not None:
                return self._call(form, values)
        forms = "; ".join(f"{self._name}({', '.join(each.name for each in form)})" for form in self._forms)
        kinds = ", ".join([type(value).__name__ for value in arguments] + list(named))
        raise TypeError(f"{self._name} was called with ({kinds}); it takes {forms}")

    def _call(self, form: tuple[Parameter, ...], values: dict[str, Any]) -> Call:
        options = values.get("opts", None)
        if options is None:
            options = self._options()
        # The form for one tensor has one level of lists less.
        is_single = any(each.fits is _is_tensor for each in form)
        tensors = []
        for each in form:
            if not each.field:
                tensors.append([values[each.name]] if is_single else values[each.name])
            elif each.field != "opts" and values.get(each.name) is not None:
                setattr(options, each.field, values[each.name])
        return Call(tensors, options)


def _bound(form: tuple[Parameter, ...], arguments: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any] | None:
    """Values by name; None if the form is another one."""
    if len(arguments) > len(form):
        return None
    values = dict(zip((each.name for each in form), arguments))
    by_name = {each.name: each for each in form}
    for name, value in named.items():
        if name in values or name not in by_name:
            return None
        values[name] = value
    if not all(by_name[name].fits(value) for name, value in values.items()):
        return None
    if any(each.is_required and each.name not in values for each in form):
        return None
    return values


_ROOT = Parameter("root", _is_root, "rootRank")
_OP = Parameter("op", _is_op, "reduceOp", is_required=False)
_TIMEOUT = Parameter("timeout", _is_timeout, "timeout", is_required=False)
_TENSORS = Parameter("tensors", _is_list)
_TENSOR = Parameter("tensor", _is_tensor)
_OUTPUTS = Parameter("output_tensors", _is_list)
_OUTPUT_LISTS = Parameter("output_tensors", _is_list_of_lists)
_INPUTS = Parameter("input_tensors", _is_list)
_INPUT_LISTS = Parameter("input_tensors", _is_list_of_lists)
_INPUT = Parameter("input_tensor", _is_tensor)

ALL_REDUCE = Forms(
    *("allreduce", AllreduceOptions, (_TENSORS, _OP, _TIMEOUT), (_TENSOR, _OP, _TIMEOUT)), tensors=(_TENSORS,)
)
BROADCAST = Forms("broadcast", BroadcastOptions, (_TENSOR, _ROOT, _TIMEOUT), tensors=(_TENSORS,))
REDUCE = Forms("reduce", ReduceOptions, (_TENSOR, _ROOT, _OP, _TIMEOUT), tensors=(_TENSORS,))
ALL_GATHER = Forms("allgather", AllgatherOptions, (_OUTPUTS, _INPUT, _TIMEOUT), tensors=(_OUTPUT_LISTS, _INPUTS))
GATHER = Forms("gather", GatherOptions, (_OUTPUTS, _INPUT, _ROOT, _TIMEOUT), tensors=(_OUTPUT_LISTS, _INPUTS))
SCATTER = Forms(
    *("scatter", ScatterOptions, (Parameter("output_tensor", _is_tensor), _INPUTS, _ROOT, _TIMEOUT)),
    tensors=(_OUTPUTS, _INPUT_LISTS),
)
REDUCE_SCATTER = Forms(
    "reduce_scatter",
    ReduceScatterOptions,
    (Parameter("output", _is_tensor), Parameter("input", _is_list), _OP, _TIMEOUT),
    tensors=(_OUTPUTS, _INPUT_LISTS),
)
BARRIER = Forms("barrier", BarrierOptions, (_TIMEOUT,), tensors=())
