#!/usr/bin/env python3
"""Rejects a name that two files define in their anonymous namespaces if these files are compiled together.

There, two such names clash, or one file quietly calls the other's function because its arguments fit better.
cmake/HawserFolder.cmake says which files are compiled together, and how one is taken out.

    check_unit_names.py LIST           check the files of a list, whose lines are: TARGET FILE... One line per name that
                                       has several homes; exit status 1 if there is any
    check_unit_names.py --self-test    plant faults in a scratch folder and see each one caught
"""

import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

TYPE = re.compile(r"(?:struct|class|enum class|enum|union) (?:\[\[.*?\]\] )?(\w+)(?= final|[ ][:{]|;)|using (\w+) =")
# The last word before what begins a body, a value or a list of parameters.
FUNCTION_OR_VALUE = re.compile(r"[^=({]*?\b(\w+)(?:\[\w*\])*\s*[=({;]")

NO_DEFINITION = re.compile(r"template|namespace|static_assert|TEST_CASE|using (?!\w+ =)")


def names_inside(text):
    """What a file's anonymous namespace defines. The tree is formatted: definitions begin in the first column."""
    inside = False
    for line in text.split("\n"):
        if line == "namespace {":
            inside = True
        elif line.startswith("}  // namespace"):
            inside = False
        elif inside and re.match(r"[A-Za-z\[]", line) and not NO_DEFINITION.match(line):
            match = TYPE.match(line) or FUNCTION_OR_VALUE.match(line)
            if match:
                yield match.group(match.lastindex)


def faults(target, files):
    homes = defaultdict(list)
    for path in sorted(files):
        for name in set(names_inside(path.read_text())):
            homes[name].append(path.name)
    for name, where in sorted(homes.items()):
        if len(where) > 1:
            yield f"{target}: {name} is defined inside {', '.join(where)}"


def faults_of_list(path):
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if not lines:
        yield f"{path} names no target"
    for target, *files in lines:
        yield from faults(target, [Path(file) for file in files])


def self_test():
    planted = {
        "a function": "double seconds_of(long a) {\n  return 1;\n}\n",
        "a constant": "constexpr int kMost = 3;\n",
        "a braced constant": "constexpr std::chrono::seconds kMost{3};\n",
        "a derived type": "class Found final : public Other {\n  int a = 0;\n};\n",
        "a type": "struct Found {\n  int a = 0;\n};\n",
        "an alias": "using Found = std::vector<int>;\n",
        "a function with an attribute": "[[nodiscard]] bool is_there(int a) { return a > 0; }\n",
        "a function of a template": "template <class T>\nT one_of(const T& a) {\n  return a;\n}\n",
    }
    missed = []
    for what, text in planted.items():
        for inside in (True, False):
            with tempfile.TemporaryDirectory() as scratch:
                whole = f"namespace {{\n\n{text}\n}}  // namespace\n" if inside else text
                files = [Path(scratch) / name for name in ("one.cpp", "two.cpp")]
                for path in files:
                    path.write_text(whole)
                found = list(faults("planted", files))
                if len(found) != (1 if inside else 0):
                    missed.append(f"{what}, {'inside' if inside else 'outside'}: {found}")
    return missed


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = self_test() if sys.argv[1] == "--self-test" else list(faults_of_list(Path(sys.argv[1])))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
