#!/usr/bin/env bash
# Installs what is missing, builds with the tests, runs them all. Ends with ctest's closing lines and its
# exit status.
#
#   tools/test.sh [--preset NAME] [CTEST_ARGUMENT...]     NAME: release (default), dev, asan, tsan, fuzz
#   tools/test.sh -L unit                                 only some: what stands after goes to ctest
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 0
fi
if [ "${1:-}" = --preset ]; then
  preset=${2:?--preset wants a name}
  shift 2
fi

deps=()
[ "$preset" = fuzz ] && deps=(--fuzz)
tools/install_deps.sh "${deps[@]}"
cmake --preset "$preset"
cmake --build "build/$preset" -j "$(nproc)"
exec ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j2 "$@"
