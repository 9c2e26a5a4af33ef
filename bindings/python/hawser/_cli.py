"""The console script: becomes the tool that lies beside this file."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def tool() -> Path:
    """The `hawser` tool of this package."""
    return Path(__file__).with_name("bin") / "hawser"


def main() -> None:
    """Does not return."""
    path = tool()
    try:
        os.execv(path, ["hawser", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"hawser: cannot run {path}: {error}")


if __name__ == "__main__":
    main()
