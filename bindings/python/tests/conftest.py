from __future__ import annotations

import faulthandler
from collections.abc import Iterator

import pytest

import hawser


@pytest.fixture(autouse=True)
def bound() -> Iterator[None]:
    """No test lasts longer, whatever holds the interpreter."""
    faulthandler.dump_traceback_later(180, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def master() -> Iterator[hawser.Master]:
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as serving:
        yield serving
