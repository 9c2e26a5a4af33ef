"""Three processes on this machine add up; one is killed, and the others go on. Needs the wheel alone, no NumPy."""

from __future__ import annotations

import array
import os
import signal
import subprocess
import sys

import hawser

PEERS = 3


def peer(address: str, dies: bool) -> None:
    with hawser.Communicator(address, listen_address="127.0.0.1") as comm:
        comm.connect()
        while comm.group_size < PEERS:
            comm.update_topology()
        values = array.array("f", [1.0] * 1000)
        comm.all_reduce(values)
        assert values[0] == PEERS, values[0]
        print(f"rank {comm.rank} of {comm.group_size}: the sum of {PEERS} ones is {values[0]:g}", flush=True)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        while True:
            values = array.array("f", [1.0] * 1000)
            try:
                info = comm.all_reduce(values)
            except hawser.PeerLost:
                continue
            if len(info.contributors) < PEERS:
                break
        assert values[0] == PEERS - 1, values[0]
        comm.barrier()


def main() -> None:
    if len(sys.argv) > 1:
        return peer(sys.argv[1], sys.argv[2] == "dies")
    with hawser.Master("127.0.0.1:0") as master:
        command = [sys.executable, __file__, master.address]
        processes = [subprocess.Popen([*command, "dies" if i == 0 else "stays"]) for i in range(PEERS)]
        ends = [process.wait(timeout=120) for process in processes]
    if ends != [-signal.SIGKILL, 0, 0]:
        sys.exit(f"the peers ended with {ends}")
    print("one was killed, and the others have reduced without it")


main()
