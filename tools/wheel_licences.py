"""Adds the licences of the libraries that auditwheel has put into a wheel, as Debian's packages state them.

Usage: wheel_licences.py WHEEL FOLDER: writes the wheel of the same name into the folder.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path


def library_of(bundled: Path) -> str:
    """`libssl-1a2b3c4d.so.3` was `libssl.so.3`."""
    return re.sub(r"-[0-9a-f]{8}(?=\.so)", "", bundled.name)


def package_of(library: str) -> str:
    """The Debian package that brings a shared library."""
    found = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True)
    for line in found.stdout.splitlines():
        package, _, path = line.partition(": ")
        if re.match(r"/(usr/)?lib/", path):
            return package.split(":")[0]
    sys.exit(f"wheel_licences: no Debian package brings {library}, so its licence is not known")


def main() -> None:
    wheel, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "wheel", "unpack", "-d", scratch, wheel], check=True)
        (root,) = Path(scratch).iterdir()
        (info,) = root.glob("*.dist-info")
        texts = info / "licenses" / "bundled"
        texts.mkdir(parents=True)
        for bundled in sorted(root.glob("*.libs/*")):
            package = package_of(library_of(bundled))
            copyright_file = Path("/usr/share/doc") / package / "copyright"
            (texts / f"{package}.txt").write_bytes(copyright_file.read_bytes())
            print(f"wheel_licences: {bundled.name} is of {package}")
        subprocess.run([sys.executable, "-m", "wheel", "pack", "-d", folder, root], check=True)


main()
