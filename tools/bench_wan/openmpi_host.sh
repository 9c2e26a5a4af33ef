#!/usr/bin/env bash
# openmpi_host.sh MPIRUN_COMMAND...: what each host of a lab runs, so that mpirun in host 0 can start its daemons in
# the others. Waits in all but host 0 for the command that openmpi_agent.sh brings, and runs that. To be run with a
# host name of its own (unshare --uts): daemons of one name take each other for one node.
#   BENCH_WAN_FOLDER: holds a FIFO for each host but the first, named by its address
set -euo pipefail

hostname "host-$HAWSER_WAN_HOST"
# Session folders of all hosts would meet in /tmp.
export TMPDIR=$BENCH_WAN_FOLDER/tmp-$HAWSER_WAN_HOST
mkdir -p "$TMPDIR"
if [ "$HAWSER_WAN_HOST" = 0 ]; then exec "$@"; fi
read -r command <"$BENCH_WAN_FOLDER/$HAWSER_WAN_ADDRESS"
exec /bin/sh -c "$command"
