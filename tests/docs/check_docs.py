"""Checks what documents state against what they state it of.

    check_docs.py PROJECT_DIR [--self-test]

- docs/defaults.md names each field of the C configs, and its defaults are those of the C headers' comments, of the
  Python docstrings and of the values in src.
- Relative links in README.md and docs lead to files and headings that exist.
Prints what is wrong; the exit status is then 1. --self-test: plants errors in a copy, each of which must be found.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

STRUCTS = {
    "Communicator": ("hawser.h", "hawserCommConfig"),
    "Master": ("hawser.h", "hawserMasterConfig"),
}
CALLS = {
    "hawserWaitOptions_t": ("hawser.h", "hawserWaitOptions"),
    "hawserOptimizeOptions_t": ("hawser.h", "hawserOptimizeOptions"),
    "hawserManyOptions_t": ("hawser.h", "hawserManyOptions"),
    "hawserPrefetchOptions_t": ("hawser_shared_state.h", "hawserPrefetchOptions"),
    "hawserSyncOptions_t": ("hawser_shared_state.h", "hawserSyncOptions"),
}
FIELD = re.compile(r"^\s*[\w ]+?[\s*]+(\w+);\s*(?:/\*\*<(.*?)\*/)?", re.S)


def fields_of(header: str, struct: str) -> dict[str, str]:
    """Name -> comment. A comment before several fields counts for all of them up to the next comment."""
    found = re.search(rf"typedef struct {struct} \{{(.*?)\n\}} {struct}_t;", header, re.S)
    if not found:
        raise SystemExit(f"no struct {struct} in the header")
    fields, comment = {}, ""
    for piece in re.findall(r"/\*\*(?!<).*?\*/|[\w ]+?[\s*]+\w+;(?:\s*/\*\*<.*?\*/)?", found[1], re.S):
        if piece.lstrip().startswith("/**"):
            comment = " ".join(piece.replace("*", " ").split())
            continue
        name, after = FIELD.match(piece).groups()
        fields[name] = " ".join(after.replace("*", " ").split()) if after else comment
    fields.pop("size", None)
    return fields


def stated(text: str) -> str | None:
    """The number in "Default 5000." """
    found = re.search(r"[Dd]efault:? (?:hawserStraggler)?(\d+(?:\.\d+)?)\b", text)
    return found[1] if found else None


def table_rows(section: str) -> list[list[str]]:
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]


def sections_of(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def number_of(cell: str) -> str | None:
    """The number that a cell begins with, in the unit of the field."""
    found = re.match(r"`?(\d+(?:\.\d+)?)\b", cell)
    return found[1] if found else None


def code_values(project: Path) -> dict[str, set[int]]:
    """In milliseconds, by the name of the field of a config in src."""
    values: dict[str, set[int]] = {}
    for path in (project / "src").rglob("*.hpp"):
        found = re.findall(r"^\s+Duration (\w+) = (seconds|milliseconds)\((\d+)\);", path.read_text(), re.M)
        for name, unit, number in found:
            values.setdefault(name, set()).add(int(number) * (1000 if unit == "seconds" else 1))
    return values


def check_number(problems: list[str], what: str, has: str | None, wanted: str | None) -> None:
    if has is not None and wanted is not None and float(has) != float(wanted):
        problems.append(f"{what}: {has}, but docs/defaults.md says {wanted}")


def check_defaults(project: Path, problems: list[str]) -> None:
    sections = sections_of((project / "docs/defaults.md").read_text())
    in_code = code_values(project)
    python = {name: (project / f"bindings/python/hawser/{name.lower()}.py").read_text() for name in STRUCTS}
    for section, (header, struct) in STRUCTS.items():
        fields = fields_of((project / "capi/include" / header).read_text(), struct)
        rows = {row[0].strip("`"): row[1] for row in table_rows(sections[section])}
        for name in fields.keys() ^ rows.keys():
            problems.append(f"{name}: it is in only one of {struct}_t and docs/defaults.md")
        for name in fields.keys() & rows.keys():
            number = number_of(rows[name])
            if name.endswith("_ms") and (number is None or stated(fields[name]) is None):
                problems.append(f"{struct}_t.{name}: no default is stated")
            check_number(problems, f"{struct}_t.{name}", stated(fields[name]), number)
            argument = rf"^        (?:\w+, )*{name}(?:, \w+)*: (.*?)(?=^        \w|\Z|^\s*$)"
            said = re.search(argument, python[section], re.S | re.M)
            if said is None and not name.startswith("straggler_policy"):
                problems.append(f"hawser.{section} does not document {name}")
            elif said is not None:
                check_number(problems, f"hawser.{section}({name})", stated(said[1]), number)
            if name.endswith("_ms"):
                found = in_code.get(name.removesuffix("_ms"), set())
                if found != {int(number or -1)}:
                    problems.append(f"{name}: the code has {sorted(found)} ms, docs/defaults.md {rows[name]}")
    struct_name = ""
    for name, named, cell, *_ in table_rows(sections["Calls"]):
        # "the same": that of the row above.
        struct_name = (re.findall(r"hawser\w+_t", named) or [struct_name if named == "the same" else ""])[0]
        if struct_name not in CALLS:
            continue
        comment = fields_by_struct(project, struct_name).get(name.strip("`"))
        if comment is None:
            problems.append(f"{struct_name}.{name}: docs/defaults.md has it, the header does not")
            continue
        check_number(problems, f"{struct_name}.{name}", stated(comment), number_of(cell))


def fields_by_struct(project: Path, struct: str) -> dict[str, str]:
    header, name = CALLS[struct]
    return fields_of((project / "capi/include" / header).read_text(), name)


def anchors_of(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_links(project: Path, problems: list[str]) -> None:
    pages = [project / "README.md", project / "CHANGELOG.md", *sorted((project / "docs").rglob("*.md"))]
    for page in pages:
        text = page.read_text()
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"\w+://", target):
                continue
            path, _, anchor = target.partition("#")
            aim = (page.parent / path).resolve() if path else page
            if not aim.exists():
                problems.append(f"{page.relative_to(project)}: {target} does not exist")
            elif anchor and anchor not in anchors_of(aim.read_text()):
                problems.append(f"{page.relative_to(project)}: {target} has no such heading")
        if page.parent.name == "docs" and f"docs/{page.name}" not in (project / "README.md").read_text():
            problems.append(f"README.md has no link to docs/{page.name}")


def problems_of(project: Path) -> list[str]:
    problems: list[str] = []
    check_defaults(project, problems)
    check_links(project, problems)
    return problems


MASTER = "src/membership/master_machine.hpp"
PARTS = ("README.md", "CHANGELOG.md", "docs", "capi/include", "include", "bindings/python", "src", "tools")
PLANTED = {
    "another default in the table": ("docs/defaults.md", "| `stall_ms` | 6000 |", "| `stall_ms` | 7000 |"),
    "a field that the table lacks": ("docs/defaults.md", "| `bootstrap_ms` | 1000 |", "| `boot_ms` | 1000 |"),
    "another default in the header": ("capi/include/hawser.h", "Default 60000.", "Default 61000."),
    "another default in Python": ("bindings/python/hawser/communicator.py", "Default 5000.", "Default 5001."),
    "another value in the code": (MASTER, "recovery = seconds(5)", "recovery = seconds(4)"),
    "another default of a call": ("docs/defaults.md", "| 67108864 (64 MiB) |", "| 67108865 (64 MiB) |"),
    "a link to no page": ("README.md", "(docs/errors.md)", "(docs/errata.md)"),
    "a link to no heading": ("docs/quickstart.md", "(operations.md#versions-and-upgrades)", "(operations.md#versions)"),
}


def self_test(project: Path) -> int:
    missed = []
    for what, (name, old, new) in PLANTED.items():
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch)
            for part in PARTS:
                source = project / part
                target = copy / part
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
            text = (copy / name).read_text()
            if old not in text:
                missed.append(f"{what}: {name} has no {old!r} any more")
                continue
            (copy / name).write_text(text.replace(old, new, 1))
            if not problems_of(copy):
                missed.append(f"{what}: not found")
    print("\n".join(missed) or f"all {len(PLANTED)} planted errors were found")
    return 1 if missed else 0


def main() -> int:
    project = Path(sys.argv[1]).resolve()
    if "--self-test" in sys.argv[2:]:
        return self_test(project)
    problems = problems_of(project)
    print("\n".join(problems) or "documents fit")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
