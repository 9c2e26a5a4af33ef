#!/usr/bin/env python3
"""Rejects a name that two files of one folder define in their anonymous namespaces.

Files of a folder are compiled together (cmake/HawserFolder.cmake). There, two such names clash, or one file quietly
calls the other's function because its arguments fit better.

    check_unit_names.py REPOSITORY_ROOT    check the tree; one line per name, exit status 1 if there is any
    check_unit_names.py --self-test        plant faults in a scratch tree and see each one caught
"""

import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

# Compiled file by file, so that names are free: hawser_add_folder(... APART).
APART = {"kernels", "optim"}
TYPE = re.compile(r"(?:struct|class|enum class|enum|union) (?:\[\[.*?\]\] )?(\w+)(?= [:{]|;)|using (\w+) =")
# The last word before what begins a body, a value or a list of parameters.
FUNCTION_OR_VALUE = re.compile(r"[^=({]*?\b(\w+)(?:\[\w*\])*\s*[=({;]")


def names_inside(text):
    """What a file's anonymous namespace defines. The tree is formatted: definitions begin in the first column."""
    inside = False
    for line in text.split("\n"):
        if line == "namespace {":
            inside = True
        elif line.startswith("}  // namespace"):
            inside = False
        elif inside and re.match(r"[A-Za-z\[]", line) and not re.match(r"template|namespace|using (?!\w+ =)", line):
            match = TYPE.match(line) or FUNCTION_OR_VALUE.match(line)
            if match:
                yield match.group(match.lastindex)


def united_folders(root):
    yield from (folder for folder in sorted((root / "src").iterdir()) if folder.is_dir() and folder.name not in APART)
    yield root / "capi" / "src"
    yield root / "stress" / "sim"


def faults(root):
    for folder in united_folders(root):
        homes = defaultdict(list)
        for path in sorted(folder.glob("*.cpp")):
            for name in set(names_inside(path.read_text())):
                homes[name].append(path.name)
        for name, files in sorted(homes.items()):
            if len(files) > 1:
                yield f"{folder.relative_to(root)}: {name} is defined inside {', '.join(files)}"


def self_test():
    planted = {
        "a function": "double seconds_of(long a) {\n  return 1;\n}\n",
        "a constant": "constexpr int kMost = 3;\n",
        "a braced constant": "constexpr std::chrono::seconds kMost{3};\n",
        "a type": "struct Found {\n  int a = 0;\n};\n",
        "an alias": "using Found = std::vector<int>;\n",
        "a function with an attribute": "[[nodiscard]] bool is_there(int a) { return a > 0; }\n",
        "a function of a template": "template <class T>\nT one_of(const T& a) {\n  return a;\n}\n",
    }
    missed = []
    for what, text in planted.items():
        for inside in (True, False):
            with tempfile.TemporaryDirectory() as scratch:
                root = Path(scratch)
                for folder in ("src/base", "src/kernels", "capi/src", "stress/sim"):
                    (root / folder).mkdir(parents=True)
                whole = f"namespace {{\n\n{text}\n}}  // namespace\n" if inside else text
                for folder in ("src/base", "src/kernels"):
                    for name in ("one.cpp", "two.cpp"):
                        (root / folder / name).write_text(whole)
                found = list(faults(root))
                if len(found) != (1 if inside else 0):
                    missed.append(f"{what}, {'inside' if inside else 'outside'}: {found}")
    return missed


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = self_test() if sys.argv[1] == "--self-test" else list(faults(Path(sys.argv[1])))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
