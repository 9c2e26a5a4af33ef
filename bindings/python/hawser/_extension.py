"""Loads the extension module, and says in a sentence why it cannot be loaded."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

__all__: list[str] = []


def _why_not(folder: Path) -> str:
    """What is wrong with the files of the package."""
    this = f"this is Python {sys.version_info.major}.{sys.version_info.minor} ({sys.implementation.cache_tag})"
    found = sorted(path.name for path in folder.glob("_core*") if path.suffix in (".so", ".pyd"))
    if not found:
        return (
            f"the hawser package in {folder} has no extension module; {this}. Install it with \"pip install .\" in "
            "Hawser's source tree, and do not import it from that tree"
        )
    if not any(name == "_core" + suffix for name in found for suffix in EXTENSION_SUFFIXES):
        return (
            f"the hawser package in {folder} was built for another Python: it has {', '.join(found)}; {this}. Install "
            "it again with the pip of this Python"
        )
    return (
        f"the extension module of the hawser package in {folder} cannot be loaded. If a library is missing, install "
        "Hawser's packages (tools/install_deps.sh) or build it again on this machine"
    )


def _load() -> None:
    try:
        importlib.import_module("hawser._core")
    except ImportError as error:
        raise ImportError(f"{_why_not(Path(__file__).parent)} ({error})", name="hawser._core") from error


_load()
