#!/usr/bin/env bash
# Hawser over wide-area links, with Gloo and OpenMPI beside it: all-reduce of float32 in emulated networks
# (docs/wan.md), against the bounds that follow from these. Prints a table in Markdown. Linux, root. Takes about a
# quarter of an hour and wants a machine that does nothing else. Installs Gloo and OpenMPI (Debian packages through
# apt), and matplotlib for a picture, if they are missing, and says so; peers that can't be installed are left out.
#
#   tools/bench_wan.sh [OPTION...]
#     --only LIST     some rows: 1 losses, 2 a slow member, 3 two regions, 4 a small call, 5 quantisation,
#                     6 outage and rate drop, 7 optimize-topology, 8 homes of which one is reached, 9 a third of the
#                     pairs missing, 10 homes with a relay, 11 a long way with few losses and with many, 12 a small
#                     call beside large ones there, 14 256 MiB there; "none": only the picture. Not without being
#                     asked for: 13 every network with each fixed choice (half an hour), 15 changing weather (ten
#                     minutes)
#     --rounds N      calls after the first, which knows nothing of the links (default 3)
#     --no-peers      without Gloo and OpenMPI
#     --json FILE     also writes all figures there, call by call
#     --picture FILE  also measures for the picture in docs/performance.md, some minutes more, and draws it (SVG or PNG)
#     --build FOLDER  of Hawser (default build/release)
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/release
peers=()
picture=false
options=()
while [ $# -gt 0 ]; do
  case $1 in
    --no-peers) peers=(--no-peers) ;;
    --build) folder=${2:?} && shift ;;
    --only | --rounds | --json) options+=("$1" "${2:?}") && shift ;;
    --picture)
      picture=true
      options+=("$1" "${2:?}") && shift
      ;;
    *)
      sed -n '2,20s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
  shift
done

if [ "$(id -u)" -ne 0 ]; then
  echo "bench_wan: labs need root" >&2
  exit 77
fi
# shellcheck source=tools/bench_peers/prepare.sh
. tools/bench_peers/prepare.sh
prepare_bench bench_wan "${peers[@]}" "$folder" hawser_cli hawser-wan

python=python3
if $picture; then
  venv=build/python-venv
  python=$venv/bin/python
  if ! "$python" -c 'import matplotlib' 2>/dev/null; then
    tools/install_deps.sh --python
    echo "bench_wan: installing matplotlib into $venv"
    [ -x "$python" ] || python3 -m venv "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check matplotlib
  fi
fi
exec "$python" tools/bench_wan/main.py --wan "$folder/bin/hawser-wan" --hawser "$folder/bin/hawser" --gloo "$gloo" \
  --openmpi "$openmpi" "${options[@]}"
