#!/usr/bin/env bash
# Makes a virtual environment under build/python-venv, installs the Python package into it as a user would, and runs
# its tests and the type checker. Debian packages: tools/install_deps.sh --python.
#
#   tools/python_tests.sh [--torch | --frameworks] [PYTEST_ARGUMENT...]
#     --torch        also install torch and run the tests that need it
#     --frameworks   also Lightning, Accelerate and transformers (400 MB), with which the examples are run
#   tools/python_tests.sh --torch -m soak      the long ones that are left out otherwise
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(pytest pytest-xdist numpy mypy safetensors)
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit 0
fi
if [ "${1:-}" = --torch ] || [ "${1:-}" = --frameworks ]; then
  packages+=(torch==2.13.0 matplotlib expecttest)
  if [ "$1" = --frameworks ]; then packages+=(lightning==2.6.6 accelerate==1.15.0 transformers==5.24.0); fi
  shift
fi

venv=build/python-venv
python=$venv/bin/python
[ -x "$python" ] || python3 -m venv "$venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -m pip install --quiet "${packages[@]}"
# The build directory stays, so that this compiles what has changed. By the compiler's usual name, so that ccache knows
# what the other build has compiled already.
CC=cc CXX=c++ "$python" -m pip install --quiet --force-reinstall --no-deps .

"$python" -m mypy -p hawser
"$python" -m mypy bindings/python/examples bindings/python/tests bindings/python/bench
# Most tests are processes that wait for each other: three at a time on two cores.
exec "$python" -m pytest -n 3 "$@"
