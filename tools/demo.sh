#!/usr/bin/env bash
# Thirty seconds of training under churn: four peers, a kill every two seconds, joins, one restart of the
# master, every sum checked. Installs what is missing and builds release first. The last line says PASS or
# FAIL, and the exit status tells the same.
#
#   tools/demo.sh [HAWSER_CHURN_OPTION...]     e.g. --seed 7
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
  -h | --help)
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac

tools/install_deps.sh
mkdir -p build
log=build/demo_build.log
echo "demo: building release (log: $log)"
{ cmake --preset release && cmake --build build/release -j "$(nproc)" --target hawser-churn; } >"$log" 2>&1 || {
  tail -40 "$log"
  echo "demo: the build failed"
  echo FAIL
  exit 1
}

# Another run each time; the seed is printed, and an option given here wins.
exec build/release/bin/hawser-churn --seconds 30 --peers 4 --kill-every-ms 2000 --joins --master-restarts 1 \
  --seed "${HAWSER_DEMO_SEED:-$RANDOM}" --report build/demo_report.json "$@"
