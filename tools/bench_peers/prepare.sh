# shellcheck shell=bash disable=SC2034
# Sourced, in the repository's root, by the scripts that run Gloo and OpenMPI beside Hawser.

# Installs Debian packages through apt if they are missing, and says so.
install_peer() { # SCRIPT NAME PACKAGE...
  local script=$1 name=$2 package missing=() as_root=() install
  shift 2
  command -v dpkg-query >/dev/null || return 0
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
  echo "$script: missing for $name: ${missing[*]}"
  echo "$script: ${install[*]}"
  "${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update -q && "${install[@]}"; } >/dev/null 2>&1 ||
    echo "$script: $name can't be installed here"
}

# Builds Hawser's TARGETs and, but for --no-peers, the two libraries' programs. Sets `gloo` and
# `openmpi` to these programs; empty where they can't be had here.
prepare_bench() { # SCRIPT HAWSER_BUILD_FOLDER TARGET... | SCRIPT --no-peers HAWSER_BUILD_FOLDER TARGET...
  local script=$1 peers=true folder log
  shift
  if [ "$1" = --no-peers ]; then peers=false && shift; fi
  folder=$1
  shift
  tools/install_deps.sh
  if $peers; then
    install_peer "$script" Gloo libgloo-dev
    install_peer "$script" OpenMPI libopenmpi-dev openmpi-bin
  fi
  mkdir -p build
  log=build/$script.log
  echo "$script: building (log: $log)"
  {
    cmake --preset release -B "$folder" && cmake --build "$folder" -j "$(nproc)" --target "$@" &&
      { ! $peers || { cmake -S tools/bench_peers -B build/bench_peers -G Ninja && cmake --build build/bench_peers -j "$(nproc)"; }; }
  } >"$log" 2>&1 || {
    tail -40 "$log"
    echo "$script: the build failed"
    exit 1
  }
  gloo="" openmpi=""
  $peers || return 0
  if [ -x build/bench_peers/gloo_all_reduce ]; then
    gloo=build/bench_peers/gloo_all_reduce
  else
    echo "$script: without Gloo"
  fi
  if [ -x build/bench_peers/openmpi_all_reduce ] && command -v mpirun >/dev/null; then
    openmpi=build/bench_peers/openmpi_all_reduce
  else
    echo "$script: without OpenMPI"
  fi
}
