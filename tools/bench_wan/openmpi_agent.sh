#!/usr/bin/env bash
# openmpi_agent.sh ADDRESS COMMAND...: mpirun's remote shell in a lab. Gives the command to openmpi_host.sh in the host
# with that address.
set -euo pipefail

address=$1
shift
printf '%s\n' "$*" >"$BENCH_WAN_FOLDER/$address"
