#!/usr/bin/env bash
# Builds Hawser on a machine with a GPU, runs all tests and benches that need one, and writes a report. Needs a CUDA
# driver, a C++20 compiler, CMake, and Python with pip, NumPy and torch; no root and no network if deps/ of
# tools/gpu_bundle.sh is there. nvcc 12.8 or later compiles the kernels; without it they come from deps/. Each step is
# bounded in time; a step that fails does not end the others. The exit status is 0 only if all passed.
#
#   tools/gpu_check.sh [OPTION...]
#     --device sim    without a GPU: the same steps on the simulated device, without those that only CUDA has
#     --only LIST     some steps, with commas; the report also has what earlier calls found. See --list
#     --quick         small sizes: to check this script
#     --out FOLDER    of logs, figures and gpu_report.md (default build/gpu_check)
#     --list          the steps, and the seconds after which each is ended
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD

device=cuda
only=
out=build/gpu_check
sizes=16M,64M,256M
kernel_bytes=256M
rounds=5
wire_rounds=3
list=false
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=${2:?} && shift ;;
    --only) only=${2:?} && shift ;;
    --out) out=${2:?} && shift ;;
    --quick) sizes=1M,4M kernel_bytes=1M rounds=2 wire_rounds=2 ;;
    --list) list=true ;;
    *)
      sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
  shift
done
case $device in cuda | sim) ;; *) echo "gpu_check: --device is '$device'; it can be cuda or sim" >&2 && exit 2 ;; esac

bin=$root/build/release/bin
python=python3
mkdir -p "$out"
out=$(cd "$out" && pwd)
running=
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; exit 130' INT TERM

wanted() { [ -z "$only" ] || case ,$only, in *",$1,"*) ;; *) false ;; esac; }

# Runs a step, and notes how it ended. Exit status 77 means that it cannot be run here.
step() { # NAME SECONDS WHAT COMMAND...
  local name=$1 bound_s=$2 what=$3 begin status word
  shift 3
  if $list; then printf '%-14s %4d s  %s\n' "$name" "$bound_s" "$what" && return; fi
  wanted "$name" || return 0
  echo "gpu_check: $name: $what (at most $bound_s s; log: $out/$name.log)"
  begin=$SECONDS
  timeout --kill-after=10 "$bound_s" "$@" >"$out/$name.log" 2>&1 </dev/null &
  running=$!
  wait "$running"
  status=$?
  running=
  case $status in
    0) word=passed ;;
    77) word=skipped ;;
    124 | 137) word='out of time' ;;
    *) word=failed ;;
  esac
  [ "$status" -eq 0 ] || tail -n 15 "$out/$name.log" | sed 's/^/    /'
  echo "gpu_check: $name: $word after $((SECONDS - begin)) s"
  printf '%s\t%s\t%d\t%s\n' "$name" "$word" $((SECONDS - begin)) "$what" >>"$out/steps.tsv"
}

# What is not installed here, from the bundle.
# Masters with a lease have nothing to do with GPUs, and their library brings twenty others along.
cmake_options=(-DHAWSER_LEASE=OFF)
if [ -d deps/usr ]; then
  export PATH=$PATH:$root/deps/usr/bin CMAKE_PREFIX_PATH=$root/deps/usr PIP_NO_INDEX=1 PIP_FIND_LINKS=$root/deps/wheels
  export PKG_CONFIG_PATH=$root/deps/usr/lib/x86_64-linux-gnu/pkgconfig:$root/deps/usr/share/pkgconfig
  # The last one: an installed library finds those of the bundle.
  cmake_options+=(-DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu -DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON)
fi
image=build/release/src/device_kernels/kernels.fatbin
export PIP_DISABLE_PIP_VERSION_CHECK=1 root image device

# Each runs in a shell of its own, so that it can be ended.
configure() {
  set -e
  if [ "$device" = sim ]; then
    cmake --preset release "$@"
  else
    cmake --preset release -DHAWSER_CUDA=ON -DHAWSER_GPU_IMAGE= "$@" ||
      cmake --preset release -DHAWSER_GPU_IMAGE="$root/deps/kernels.fatbin" "$@"
  fi
}
build_package() { # FOLDER CMAKE_OPTION...
  set -e
  local folder=$1 given
  shift
  given=("$@")
  [ ! -e "$image" ] || given+=("-DHAWSER_GPU_IMAGE=$root/$image")
  rm -rf "$folder"
  # Options with spaces would be taken apart, and none has any.
  CMAKE_ARGS="${given[*]}" python3 -m pip install --target "$folder" --no-deps .
  python3 -m pip install --target "$folder" pytest
}
export -f configure build_package

targets=(test_device test_device_cuda test_device_kernels test_collective test_runtime hawser_cli hawser-kernel-bench)
step configure 120 "CMake, with the kernels for GPUs" bash -c 'configure "$@"' configure "${cmake_options[@]}"
step build 1800 "the library, its tests and benches" cmake --build build/release -j "$(nproc)" --target "${targets[@]}"
step package 1800 "the Python package" bash -c 'build_package "$@"' package "$out/python" "${cmake_options[@]}"
export PYTHONPATH=$out/python PYTHONUNBUFFERED=1

pytest=("$python" -m pytest -p no:cacheprovider bindings/python/tests)
bench=("$python" tools/bench_device.py --device "$device")
if [ "$device" = cuda ]; then
  # By name, not by ctest, which puts a stand-in before the driver.
  step device 120 "the driver's functions that Hawser uses" "$bin/test_device_cuda"
  step kernels 590 "kernels on the GPU give the host's bits" env HAWSER_TEST_DEVICE=cuda "$bin/test_device_kernels"
  step runtime 120 "calls in the background that a stream waits for" env HAWSER_DEVICE=cuda "$bin/test_runtime" \
    -\# "[#test_on_cuda]"
  step python 300 "Python tests with torch's CUDA tensors" "${pytest[@]}" -m cuda
  bench_device=cuda
  beside=(--beside gloo)
else
  step device 120 "streams of the simulated device" "$bin/test_device"
  step kernels 590 "kernels on the simulated device give the host's bits" \
    env HAWSER_TEST_DEVICE=sim "$bin/test_device_kernels"
  step runtime 300 "collectives of tensors on simulated devices" \
    ctest --test-dir build/release --output-on-failure -R '^runtime_(on_devices|stream_gates)$' --no-tests=error
  step python 300 "Python tests with tensors on the simulated device" "${pytest[@]}" -k sim_device
  bench_device=sim:delay_us=0
  beside=()
fi
step kernel_bench 300 "bandwidth of each kernel" env "HAWSER_DEVICE=$bench_device" \
  "$bin/hawser-kernel-bench" --bytes "$kernel_bytes" --json "$out/kernels.json"
step loopback 590 "all-reduces of two peers over loopback" "${bench[@]}" --sizes "$sizes" --quantize none,block-8 \
  --rounds "$rounds" "${beside[@]}" --timeout 580 --json "$out/loopback.json"
step wire 590 "all-reduces of two peers at 1 Gbit/s" "${bench[@]}" --sizes "$sizes" --quantize none,block-8 \
  --rounds "$wire_rounds" --wire-mbit 1000 --timeout 580 --json "$out/wire.json"
if [ "$device" = cuda ]; then
  step matmul 300 "all-reduces beside matrix products" "${bench[@]}" --sizes "${sizes##*,}" --rounds "$rounds" \
    --matmul --timeout 290 --json "$out/matmul.json"
fi
$list || exec "$python" tools/gpu_check/report.py --out "$out" --device "$device"
