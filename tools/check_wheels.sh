#!/usr/bin/env bash
# Installs a wheel of the folder into a bare Debian that has Python and no compiler, and runs peers there, one of which
# is killed. Then builds a wheel from the source distribution, and runs the same with it.
#
#   tools/check_wheels.sh [FOLDER]      default: build/wheels, as tools/make_wheels.sh leaves it
# Root. Makes build/wheel-root with debootstrap (150 MB, about two minutes) if it is not there, and installs debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" -ne 0 ]; then
  echo "check_wheels: debootstrap and chroot need root" >&2
  exit 77
fi
folder=${1:-build/wheels}
root=build/wheel-root

if [ ! -e $root/complete ]; then
  command -v debootstrap > /dev/null || apt-get install -y --no-install-recommends debootstrap
  echo "check_wheels: a bare Debian with Python in $root"
  rm -rf $root
  debootstrap --variant=minbase --include=python3,python3-venv bookworm $root > build/wheel-root.log
  touch $root/complete
fi
if [ -e $root/usr/bin/cc ]; then
  echo "check_wheels: $root has a compiler, so it checks nothing; remove it" >&2
  exit 1
fi
tag=$(chroot $root python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
wheel=$(find "$folder" -name "*-$tag-*.whl" | head -1)
if [ -z "$wheel" ]; then
  echo "check_wheels: $folder has no wheel for $tag, the Python of that Debian: tools/make_wheels.sh python3.11" >&2
  exit 1
fi
rm -rf $root/check
mkdir -p $root/check
cp "$wheel" tools/check_wheels/*.py $root/check/
began=$(date +%s%N)
# The mount of /proc, which the loader needs to find libraries beside a program, ends with the namespace.
unshare --mount --propagation private /bin/bash -euc '
  mount -t proc proc "$1/proc"
  exec chroot "$1" /bin/bash -euc "$2"' check $root '
  cd /check
  python3 -m venv venv
  venv/bin/pip install --quiet --no-index --disable-pip-version-check ./*.whl
  venv/bin/hawser --version
  venv/bin/python first_reduce.py'
echo "check_wheels: from the wheel to the first sum in $((($(date +%s%N) - began) / 1000000)) ms"

echo "check_wheels: a wheel from the source distribution (minutes)"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
CC=cc CXX=c++ "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check "$folder"/hawser-*.tar.gz
(cd "$scratch" && venv/bin/hawser --version)
"$scratch/venv/bin/python" tools/check_wheels/first_reduce.py
