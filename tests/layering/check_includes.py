#!/usr/bin/env python3
"""Rejects an include, a link line or a call under src/ that breaks the layer table.

    check_includes.py REPOSITORY_ROOT    check the tree; one line per fault, exit status 1 if there is any
    check_includes.py --self-test        plant faults in a scratch tree and see each one caught
"""

import re
import sys
import tempfile
from pathlib import Path

# The layer table, the one home of it: folder of src/ -> what it may use besides itself.
# "folder/file.hpp" allows that header only.
LAYERS = {
    "base": [],
    "files": ["base"],
    "membership": ["base"],
    "topology": ["base"],
    "plan": ["base", "topology"],
    "kernels": ["base"],
    "optim": ["base", "kernels"],
    "device": ["base"],
    "device_kernels": ["base", "kernels", "optim", "device/kernel.hpp"],
    "collective": ["base", "plan", "kernels"],
    "shared_state": ["base", "kernels", "collective", "membership"],
    "checkpoint": ["base", "files", "kernels"],
    "engine": ["base", "membership", "topology", "plan", "kernels", "shared_state", "collective"],
    "wire": ["base", "membership/messages.hpp", "membership/view.hpp"],
    "links": ["base", "wire"],
    "trust": ["base", "files"],
    "transport": ["base", "wire", "links", "trust"],
    "lease": ["base", "membership/lease.hpp", "transport/quiet_thread.hpp"],
    "runtime": ["base", "files", "membership", "lease", "topology", "plan", "kernels", "shared_state", "checkpoint",
                "collective", "engine", "wire", "links", "trust", "transport", "device", "device_kernels"],
}

# Pure code: no thread, no clock, no socket, no environment. Time and seed come in as arguments.
PURE_FOLDERS = {"base", "membership", "topology", "plan", "kernels", "optim", "device_kernels", "collective", "shared_state",
                "engine", "links"}

IMPURE_INCLUDE = re.compile(
    r"^(thread|mutex|shared_mutex|condition_variable|future|stop_token|semaphore|latch|barrier|pthread\.h"
    r"|asio(\.hpp|/.*)|uv\.h|unistd\.h|fcntl\.h|poll\.h|netdb\.h|time\.h|sys/(socket|time|epoll|select|un)\.h"
    r"|netinet/.*|arpa/.*)$"
)
IMPURE_CALLS = {
    "reads a clock": re.compile(r"\b\w*_clock\s*::\s*now\b|\bclock_gettime\s*\(|\bgettimeofday\s*\("),
    "reads the environment": re.compile(r"\b(secure_)?getenv\s*\("),
    "reads the time of day": re.compile(r"(?<![\w.>:])(::|std::)?time\s*\("),
    "asks the machine for randomness": re.compile(r"\brandom_device\b|(?<![\w.>:])(::|std::)?s?rand\s*\("),
}
SOURCE_SUFFIXES = {".cpp", ".hpp", ".h", ".cc", ".c", ".cu", ".cuh", ".ipp", ".inc"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
STRING_OR_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
LINKED_FOLDER = re.compile(r"\bhawser_(" + "|".join(LAYERS) + r")\b")


def blank(match):
    """Takes comments and strings out, and keeps the lines where they are."""
    text = match.group(0)
    return text if text.startswith('"') and "\n" not in text else re.sub(r"[^\n]", " ", text)


def may_use(folder, target):
    target_folder = target.split("/", 1)[0]
    return target_folder == folder or target_folder in LAYERS[folder] or target in LAYERS[folder]


def check_include(where, folder, is_pure, quote, target):
    if is_pure and IMPURE_INCLUDE.match(target):
        return f"{where}: pure code includes <{target}>"
    if quote == "<":
        if target.split("/", 1)[0] in LAYERS and "/" in target:
            return f"{where}: include our own {target} with quotes"
        return None
    target_folder = target.split("/", 1)[0]
    if "/" not in target or target_folder not in LAYERS:
        return f'{where}: "{target}" does not start at a folder of src/'
    if not may_use(folder, target):
        allowed = ", ".join(LAYERS[folder]) or "the standard library only"
        return f'{where}: {folder} may not use "{target}" (it may use: {allowed})'
    if target.endswith(".pb.h") and folder != "wire":
        return f'{where}: generated code is private to wire: "{target}"'
    return None


def check_source(root, path, folder):
    relative = path.relative_to(root).as_posix()
    is_pure = folder in PURE_FOLDERS
    text = STRING_OR_COMMENT.sub(blank, path.read_text(encoding="utf-8"))
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{relative}:{number}"
        include = INCLUDE.match(line)
        if include:
            fault = check_include(where, folder, is_pure, include.group(1), include.group(2))
            if fault:
                yield fault
        elif is_pure:
            code = re.sub(r'"(?:\\.|[^"\\])*"', '""', line)
            for what, pattern in IMPURE_CALLS.items():
                if pattern.search(code):
                    yield f"{where}: pure code {what}"


def check_links(root, folder):
    """The link lines in CMake must say the same as the table."""
    cmake = root / "src" / folder / "CMakeLists.txt"
    if not cmake.exists():
        yield f"src/{folder}: no CMakeLists.txt"
        return
    text = re.sub(r"#[^\n]*", "", cmake.read_text(encoding="utf-8"))
    linked = set(LINKED_FOLDER.findall(text)) - {folder}
    allowed = {entry.split("/", 1)[0] for entry in LAYERS[folder]}
    for extra in sorted(linked - allowed):
        yield f"src/{folder}/CMakeLists.txt: links hawser_{extra}, which the table does not allow"
    for missing in sorted(allowed - linked):
        yield f"src/{folder}/CMakeLists.txt: does not link hawser_{missing}, which the table names"


def check_tree(root):
    faults = []
    files = 0
    for entry in sorted((root / "src").iterdir()):
        if not entry.is_dir():
            continue
        if entry.name not in LAYERS:
            faults.append(f"src/{entry.name}: a folder that the layer table does not know")
            continue
        faults.extend(check_links(root, entry.name))
        for path in sorted(entry.rglob("*")):
            if path.is_file() and path.suffix in SOURCE_SUFFIXES:
                files += 1
                faults.extend(check_source(root, path, entry.name))
    return files, faults


PLANTED = [
    # path, line, a part of the fault that must be reported (None: must pass)
    ("src/plan/a.hpp", '#include "membership/epoch.hpp"', "plan may not use"),
    ("src/base/a.hpp", '#include "plan/a.hpp"', "base may not use"),
    ("src/transport/a.cpp", '#include "collective/planned_collective.hpp"', "transport may not use"),
    ("src/wire/a.cpp", '#include "membership/master.hpp"', "wire may not use"),
    ("src/wire/b.cpp", '#include "membership/messages.hpp"', None),
    ("src/plan/b.cpp", '#include "ring.hpp"', "does not start at"),
    ("src/plan/c.cpp", '  #  include "../membership/epoch.hpp"', "does not start at"),
    ("src/runtime/a.cpp", "#include <plan/ring.hpp>", "with quotes"),
    ("src/engine/a.cpp", '#include "wire/frame_codec.hpp"', "engine may not use"),
    ("src/checkpoint/a.cpp", '#include "wire/frame_codec.hpp"', "checkpoint may not use"),
    ("src/transport/b.cpp", '#include "wire/control.pb.h"', "private to wire"),
    ("src/membership/a.cpp", "#include <thread>", "pure code includes"),
    ("src/collective/a.cpp", "#include <asio/ip/tcp.hpp>", "pure code includes"),
    ("src/kernels/a.cpp", "#include <mutex>", "pure code includes"),
    ("src/engine/votes.cpp", "#include <condition_variable>", "pure code includes"),
    ("src/engine/peer_engine.cpp", "auto t = std::chrono::steady_clock::now();", "reads a clock"),
    ("src/runtime/reactor.cpp", "#include <thread>", None),
    ("src/runtime/reactor2.cpp", "auto t = std::chrono::steady_clock::now();", None),
    ("src/base/b.cpp", 'auto* home = std::getenv("HOME");', "reads the environment"),
    ("src/base/c.cpp", "auto now = time(nullptr);", "reads the time of day"),
    ("src/base/d.cpp", "// time( in a comment is fine, and so is getenv(", None),
    ("src/base/e.cpp", "auto t = event.time() + transfer_time(plan);", None),
    ("src/base/f.cpp", 'auto s = "time(0)";', None),
    ("src/topology/a.cpp", "std::random_device seed;", "randomness"),
    ("src/utils/a.cpp", "int x;", "the layer table does not know"),
    ("src/plan/CMakeLists.txt", "hawser_add_folder(hawser_plan PUBLIC hawser_base)", "does not link hawser_topology"),
    ("src/base/CMakeLists.txt", "hawser_add_folder(hawser_base PUBLIC hawser_wire)", "links hawser_wire"),
]


def lay_clean_tree(root):
    for folder, uses in LAYERS.items():
        (root / "src" / folder).mkdir(parents=True)
        links = " ".join("hawser_" + use.split("/", 1)[0] for use in uses)
        (root / "src" / folder / "CMakeLists.txt").write_text(f"hawser_add_folder(hawser_{folder} PUBLIC {links})\n")


def self_test():
    failures = 0
    for path, line, expected in [("src/base/clean.hpp", "#include <vector>", None)] + PLANTED:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            lay_clean_tree(root)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(line + "\n")
            _, faults = check_tree(root)
        good = not faults if expected is None else len(faults) == 1 and expected in faults[0]
        if not good:
            failures += 1
            print(f"self-test: {path}: {line!r} gave {faults}, expected {expected!r}")
    print(f"layering self-test: {len(PLANTED) + 1} cases, {failures} failed")
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    files, faults = check_tree(Path(arguments[0]).resolve())
    for fault in faults:
        print(fault)
    print(f"layering: {files} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
