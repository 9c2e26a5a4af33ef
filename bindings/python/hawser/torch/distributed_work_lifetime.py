"""Keeps the Python object of a Work for as long as torch's C++ holds the Work.

Torch's C++ calls a Work of a Python class through its Python object. A Work that Python handed to C++, as DDP's `join`
does, may lose that object: then C++ calls the `wait` of the base class, which never ends. So an object that Python
drops looks how many references C++ has to the Work, and is kept while there are others than its own.
"""

from __future__ import annotations

import ctypes
import itertools

from torch._C._distributed_c10d import Work  # type: ignore[import-not-found,unused-ignore]

__all__ = ["drop_unheld", "keep_while_held"]

_UNCOUNTED_MAX = 64
"""So many are kept where references cannot be counted."""

_kept: dict[int, Work] = {}
_numbers = itertools.count()


def keep_while_held(work: Work) -> None:
    """Called by the finalizer of a Work: any thread, at any time. So it takes no lock."""
    if not _can_count:
        _kept[next(_numbers)] = work
        for number in list(_kept)[:-_UNCOUNTED_MAX]:
            _kept.pop(number, None)
    elif _count(work) > 1:
        _kept[next(_numbers)] = work


def drop_unheld() -> None:
    """Lets go of what C++ no longer holds. Does not block; called whenever a call begins or ends."""
    if not _can_count:
        return
    for number, work in list(_kept.items()):
        if _count(work) <= 1:
            _kept.pop(number, None)


def _count(work: Work) -> int:
    """How many references C++ has, one of them the Python object's.

    Torch shows it nowhere in Python. The first field after the header of a pybind11 object is the address of the C++
    object. That has its table of virtual functions first, and then the number.
    """
    address = ctypes.c_void_p.from_address(id(work) + object.__basicsize__).value
    if address is None:  # it was not constructed
        return 0
    return ctypes.c_uint32.from_address(address + ctypes.sizeof(ctypes.c_void_p)).value


def _counts_right() -> bool:
    """Whether this torch has it there: a second reference is made and given up."""

    class Sample(Work):  # type: ignore[misc,unused-ignore]
        pass

    if Work.__basicsize__ < object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p):
        return False
    sample = Sample()
    counts = [_count(sample)]
    second = sample.boxed()
    counts.append(_count(sample))
    del second
    return [*counts, _count(sample)] == [1, 2, 1]


_can_count = hasattr(Work, "boxed") and _counts_right()
