#!/usr/bin/env bash
# Hawser beside Gloo and OpenMPI: all-reduce of float32 between processes of this machine over loopback TCP, in
# turn, so that all see the same machine. Every group of processes is fresh. Prints medians over all rounds, and
# of ratios within a round. Installs Gloo and OpenMPI (Debian packages through apt) if they are missing and says
# so; what can't be installed is left out.
#
#   tools/bench_peers.sh [OPTION...]
#     --quick         fewer sizes and rounds: about two minutes
#     --rounds N      how often each library has its turn (default 5; each turn measures three times)
#     --world LIST    peers (default 2,4)
#     --sizes LIST    bytes (default 4 bytes to 256 MiB)
#     --lines FILE    also keep all measurements, for tools/bench_peers/summary.py
set -euo pipefail
cd "$(dirname "$0")/.."

# Hawser's rows: "NAME BENCH_ARGUMENT...", all out of place with float32.
hawser_variants=(
  "hawser"
  "hawser-with-checksums --check-same-host"
  "hawser-uint8 --quantize min-max-8"
)

rounds=5
rounds_per_turn=3
worlds=2,4
sizes=4,65536,1048576,16777216,67108864,268435456
lines=
while [ $# -gt 0 ]; do
  case $1 in
    --quick)
      rounds=2
      sizes=4,1048576,67108864
      ;;
    --rounds) rounds=${2:?} && shift ;;
    --world) worlds=${2:?} && shift ;;
    --sizes) sizes=${2:?} && shift ;;
    --lines) lines=${2:?} && shift ;;
    *)
      sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
  shift
done

# shellcheck source=tools/bench_peers/prepare.sh
. tools/bench_peers/prepare.sh
prepare_bench bench_peers build/release hawser_cli
hawser=build/release/bin/hawser

scratch=$(mktemp -d)
measured=$scratch/lines
touch "$measured"
members=()
clean_up() {
  [ ${#members[@]} -eq 0 ] || kill "${members[@]}" 2>/dev/null || true
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

failed() { echo "bench_peers: $1 with $2 peers failed" >&2; }

# A turn: a fresh group of processes measures every size. No turn takes so long unless it hangs.
turn_s=600

turn_hawser() { # WORLD NAME BENCH_ARGUMENT...
  local world=$1 name=$2
  shift 2
  timeout --foreground "$turn_s" "$hawser" bench all-reduce --world "$world" --sizes "$sizes" --rounds "$rounds_per_turn" \
    --lines --label "$name" "$@" >>"$measured" || failed "$name" "$world"
}

turn_gloo() { # WORLD
  local world=$1 rank pid store well=true
  store=$(mktemp -d -p "$scratch")
  members=()
  for ((rank = 0; rank < world; ++rank)); do
    timeout --foreground "$turn_s" "$gloo" "$rank" "$world" "$store" "$sizes" "$rounds_per_turn" >>"$measured" &
    members+=($!)
  done
  for pid in "${members[@]}"; do wait "$pid" || well=false; done
  members=()
  $well || failed Gloo "$world"
}

# Over TCP as the others, not through shared memory. The second way gives the processor away while it waits, which
# helps where there are more processes than processors.
turn_openmpi() { # WORLD LABEL MPIRUN_ARGUMENT...
  local world=$1 label=$2
  shift 2
  timeout --foreground "$turn_s" mpirun --allow-run-as-root --oversubscribe --bind-to none --mca pml ob1 --mca btl tcp,self \
    --mca btl_tcp_if_include lo --mca coll ^sm "$@" -np "$world" "$openmpi" "$label" "$sizes" "$rounds_per_turn" \
    >>"$measured" || failed "$label" "$world"
}

IFS=, read -ra world_list <<<"$worlds"
for ((round = 1; round <= rounds; ++round)); do
  echo "turn $round" >>"$measured"
  for world in "${world_list[@]}"; do
    echo "bench_peers: round $round of $rounds, $world peers"
    for variant in "${hawser_variants[@]}"; do
      read -ra words <<<"$variant"
      turn_hawser "$world" "${words[@]}"
    done
    if [ -n "$gloo" ]; then turn_gloo "$world"; fi
    if [ -n "$openmpi" ]; then
      turn_openmpi "$world" openmpi:spinning
      turn_openmpi "$world" openmpi:yielding --mca mpi_yield_when_idle 1
    fi
  done
done

[ -z "$lines" ] || cp "$measured" "$lines"
python3 tools/bench_peers/summary.py <"$measured"
