"""Two peers sum a tensor.

python hello_all_reduce.py                      starts a master and two peers as processes
python hello_all_reduce.py --master HOST:PORT   one peer that joins a run; start it on as many machines as you like
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import numpy as np

import hawser


def join_and_reduce(master: str, world: int) -> None:
    with hawser.Communicator(master, min_peers=world) as comm:
        comm.connect()  # returns when so many peers are there
        tensor = np.full(1_000_000, comm.rank + 1, np.float32)
        for tries_left in reversed(range(10)):
            try:
                info = comm.all_reduce(tensor)
                break
            except hawser.HawserError as error:
                if not error.can_retry or tries_left == 0:
                    raise
                print(f"calling again after: {error}", flush=True)
        print(f"rank {info.rank} of {info.world_size}: {tensor[0]:g} in {info.transfer_us / 1000:.1f} ms", flush=True)


def start_all(world: int) -> int:
    with hawser.Master("127.0.0.1:0") as master:
        command = [sys.executable, __file__, "--master", master.address, "--world", str(world)]
        peers = [subprocess.Popen(command) for _ in range(world)]
        return max(peer.wait() for peer in peers)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--master", help="join this one instead of starting all")
    arguments.add_argument("--world", type=int, default=2, help="peers to wait for")
    given = arguments.parse_args()
    if given.master is None:
        return start_all(given.world)
    join_and_reduce(given.master, given.world)
    return 0


if __name__ == "__main__":
    sys.exit(main())
