"""What Python costs: all-reduce of two peers over loopback, from Python and from the C++ bench, alternately.

python overhead.py [--bytes 67108864] [--rounds 15] [--batch 3]

Each round measures both, in turn first and second. The last line has the medians and their ratio.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import subprocess
import time
from multiprocessing.connection import Connection

import numpy as np

import hawser
from hawser._cli import tool


def peer(address: str, count: int, batch: int, pipe: Connection) -> None:
    """On each order, times a batch of calls, and tells milliseconds for each."""
    with hawser.Communicator(address, listen_address="127.0.0.1") as comm:
        comm.connect()
        while comm.group_size < 2:
            comm.update_topology()
            time.sleep(0.005)
        send = (np.arange(count) % 7).astype(np.float32)
        receive = np.zeros_like(send)
        comm.all_reduce(send, receive)  # opens what is opened lazily
        pipe.send(0.0)
        while pipe.recv():
            comm.barrier()
            seconds = 0.0
            for _ in range(batch):
                begun = time.perf_counter()
                comm.all_reduce(send, receive)
                seconds += time.perf_counter() - begun
            assert receive[6] == 12
            pipe.send(1e3 * seconds / batch)
        comm.barrier()


def measure_cpp(size: int, rounds: int) -> float:
    """Milliseconds of one all-reduce: the median of some rounds of the C++ bench."""
    said = subprocess.run(
        [tool(), "bench", "all-reduce", "--world=2", f"--sizes={size}", f"--rounds={rounds}", "--lines"],
        check=True,
        capture_output=True,
        text=True,
    )
    return statistics.median(float(line.split()[3]) for line in said.stdout.splitlines() if line.strip())


class PythonPeers:
    def __init__(self, address: str, count: int, batch: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes = []
        self.processes = []
        for _ in range(2):
            ours, theirs = context.Pipe()
            self.processes.append(context.Process(target=peer, args=(address, count, batch, theirs), daemon=True))
            self.processes[-1].start()
            self.pipes.append(ours)
        for pipe in self.pipes:
            pipe.recv()

    def measure(self) -> float:
        """Milliseconds of one all-reduce: the slower peer's."""
        for pipe in self.pipes:
            pipe.send(True)
        return max(float(pipe.recv()) for pipe in self.pipes)

    def end(self) -> None:
        for pipe in self.pipes:
            pipe.send(False)
        for process in self.processes:
            process.join()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bytes", type=int, default=64 << 20)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--batch", type=int, default=3)
    given = arguments.parse_args()
    with hawser.Master("127.0.0.1:0") as master:
        python_peers = PythonPeers(master.address, given.bytes // 4, given.batch)
        in_python, in_cpp = [], []
        for number in range(given.rounds):
            if number % 2 == 0:
                in_python.append(python_peers.measure())
                in_cpp.append(measure_cpp(given.bytes, given.batch))
            else:
                in_cpp.append(measure_cpp(given.bytes, given.batch))
                in_python.append(python_peers.measure())
            print(f"round {number + 1}: Python {in_python[-1]:.2f} ms, C++ {in_cpp[-1]:.2f} ms", flush=True)
        python_peers.end()
        ratios = [a / b for a, b in zip(in_python, in_cpp)]
        print(
            f"{given.bytes} bytes: Python {statistics.median(in_python):.2f} ms, "
            f"C++ {statistics.median(in_cpp):.2f} ms, ratio of medians "
            f"{statistics.median(in_python) / statistics.median(in_cpp):.3f}, median of ratios "
            f"{statistics.median(ratios):.3f}, of the fastest {min(in_python) / min(in_cpp):.3f}"
        )


if __name__ == "__main__":
    main()
