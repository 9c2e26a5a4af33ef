#!/usr/bin/env bash
# Installs what is missing, builds with the tests, and runs them all: those of the library, then those of the
# Python package (in a virtual environment, with PyTorch). Ends with the closing lines of both and a status that is 0
# only if all passed.
#
#   tools/test.sh                                         all of it
#   tools/test.sh [--preset NAME] [CTEST_ARGUMENT...]     without Python. NAME: release (default), dev, asan, tsan, fuzz
#   tools/test.sh -L unit                                 only some: what stands after goes to ctest
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  sed -n '2,8s/^# \{0,1\}//p' "$0"
  exit 0
fi
with_python=true
[ $# -gt 0 ] && with_python=false
if [ "${1:-}" = --preset ]; then
  preset=${2:?--preset wants a name}
  shift 2
fi

deps=(--tests)
[ "$preset" = fuzz ] && deps+=(--fuzz)
$with_python && deps+=(--python)
tools/install_deps.sh "${deps[@]}"
cmake --preset "$preset"
cmake --build "build/$preset" -j "$(nproc)"
ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j2 "$@"
if $with_python; then tools/python_tests.sh --torch; fi
