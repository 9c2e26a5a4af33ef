#!/usr/bin/env bash
# Installs what Hawser needs from Debian's packages: only what is missing, after saying what.
# The list's one home is here.
#
#   tools/install_deps.sh [--fuzz] [--lint] [--python] [--tests] [--check | --list]
#     --fuzz   also clang and its sanitizer runtimes, for the preset `fuzz`
#     --lint   also clang-format, clang-tidy and shellcheck
#     --python also what the Python package and its tests need to be built and run
#     --tests  also what some tests start, and are skipped without: etcd
#     --check  install nothing; exit status 1 if something is missing
#     --list   install nothing; print all of them, one package a line
set -euo pipefail

# Programs: "command package". A program that is on PATH is good, wherever it came from.
programs=("g++ g++" "cmake cmake" "ninja ninja-build" "ccache ccache" "pkg-config pkg-config"
  "protoc protobuf-compiler" "python3 python3" "git git")
packages=(libc6-dev libasio-dev libuv1-dev libzstd-dev libprotobuf-dev libxxhash-dev libssl-dev libcli11-dev libtomlplusplus-dev
  libcurl4-openssl-dev libcpp-httplib-dev catch2)

check_only=false
list_only=false
for argument in "$@"; do
  case $argument in
    --fuzz)
      programs+=("clang clang")
      packages+=(libclang-rt-dev)
      ;;
    --python)
      # A Python that is no Debian package has these in itself.
      [ "$(command -v python3 || echo /usr/bin/python3)" = /usr/bin/python3 ] && packages+=(python3-dev python3-venv)
      ;;
    --tests) programs+=("etcd etcd-server") ;;
    --lint) programs+=("clang-format clang-format" "clang-tidy clang-tidy" "shellcheck shellcheck") ;;
    --check) check_only=true ;;
    --list) list_only=true ;;
    *)
      sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
done

if $list_only; then
  printf '%s\n' "${packages[@]}" "${programs[@]##* }"
  exit 0
fi

has_package() {
  # Some are known by another package that provides the same files.
  [ "$1" = libclang-rt-dev ] && compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' >/dev/null && return
  dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'
}

missing=()
for entry in "${programs[@]}"; do
  read -r command package <<<"$entry"
  command -v "$command" >/dev/null || missing+=("$package")
done
if command -v dpkg-query >/dev/null; then
  for package in "${packages[@]}"; do
    has_package "$package" || missing+=("$package")
  done
elif ! command -v apt-get >/dev/null; then
  echo "install_deps: no apt-get here, so nothing is checked or installed. Hawser needs the equivalents of:"
  printf '  %s\n' "${packages[@]}" "${programs[@]##* }"
  exit 0
fi

if [ ${#missing[@]} -eq 0 ]; then
  echo "install_deps: all there"
  exit 0
fi
echo "install_deps: missing: ${missing[*]}"
if $check_only; then exit 1; fi
if ! command -v apt-get >/dev/null; then
  echo "install_deps: no apt-get here; install these by hand" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install_deps: neither root nor sudo" >&2; exit 1; }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
echo "install_deps: ${install[*]}"
# A fresh system has no package lists, or old ones that name files which are gone.
"${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update -q && "${install[@]}"; }
echo "install_deps: done"
