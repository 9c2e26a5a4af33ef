#!/usr/bin/env bash
# PyTorch's own tests of torch.distributed (torch.testing._internal.distributed.distributed_test of the installed
# torch), on the CPU, once with gloo and once with the backend "hawser". Prints a Markdown table, and lists the tests
# that gloo passes and hawser does not. A whole run takes half an hour and more. Needs torch and the package hawser:
# tools/python_tests.sh --torch makes an environment that has both, and this script takes it if it is there.
#
#   tools/torch_suite.sh [OPTION...] [TEST...]
#     --stable          only the tests of tools/torch_suite/stable.txt, only with hawser and two ranks; ends with 1 if
#                       one of them fails
#     --backends LIST   default gloo,hawser
#     --worlds LIST     numbers of ranks (default 2,3)
#     --bound SECONDS   for each test (default 60)
#     --jobs N          tests at a time (default 1)
#     --results FILE    also keep each test's outcome, as lines of JSON
#     TEST...           only these, by name
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  sed -n '2,16s/^# \{0,1\}//p' "$0"
  exit 0
fi
python=${PYTHON:-build/python-venv/bin/python}
[ -x "$python" ] || python=python3
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$python" tools/torch_suite/suite.py "$@"
