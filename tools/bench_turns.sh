#!/usr/bin/env bash
# Two ways of measuring all-reduce in turns, so that both see the same machine: two builds, or one build with and
# without an option. Prints medians and least values of both, milliseconds and CPU seconds per GiB, and their ratios.
#
#   tools/bench_turns.sh TURNS "FIRST COMMAND" "SECOND COMMAND" [ARGUMENT of both...]
#
#   hawser="build/release/bin/hawser bench all-reduce"
#   tools/bench_turns.sh 5 "OLD/bin/hawser bench all-reduce" "$hawser" --world 2 --sizes 4,64K,1M
#   tools/bench_turns.sh 5 "$hawser" "$hawser --check-same-host" --world 4 --sizes 256M
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
turns=$1
read -ra first <<<"$2"
read -ra second <<<"$3"
shift 3

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
for ((turn = 0; turn < turns; ++turn)); do
  timeout --foreground 600 "${first[@]}" --lines --label first "$@" >>"$lines"
  timeout --foreground 600 "${second[@]}" --lines --label second "$@" >>"$lines"
done

python3 - "$lines" <<'PYTHON'
import collections
import statistics
import sys

measured = collections.defaultdict(list)
with open(sys.argv[1]) as file:
    for line in file:
        label, world, size, ms, cpu = line.split()
        measured[int(world), int(size), label].append((float(ms), float(cpu)))

print(f"{'world':>5} {'bytes':>10}  {'':14} {'first':>10} {'second':>10} {'ratio':>6}")
for world, size in sorted({key[:2] for key in measured}):
    for name, index, choose in (
        ("ms, median", 0, statistics.median),
        ("ms, least", 0, min),
        ("CPU, median", 1, statistics.median),
        ("CPU, least", 1, min),
    ):
        a, b = (choose([one[index] for one in measured[world, size, label]]) for label in ("first", "second"))
        print(f"{world:5} {size:10}  {name:14} {a:10.3f} {b:10.3f} {b / a:6.2f}")
PYTHON
