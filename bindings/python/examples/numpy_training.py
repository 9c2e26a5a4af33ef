"""Softmax regression with NumPy, trained by several peers that may die and be replaced at any moment.

python numpy_training.py [--peers 3] [--steps 400] [--kill]   starts a master and the peers as processes
python numpy_training.py --master HOST:PORT                   one peer that joins a run

Each peer has data of its own. A step averages the gradients; weights and momentum are a shared state, which newcomers
fetch from the others. --kill kills one peer meanwhile and starts another one in its place.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hawser

FEATURES, CLASSES, SAMPLES, LEARNING_RATE = 20, 4, 500, 0.05
ALONE_MS_MAX = 10_000
FAILURES_MAX = 20  # in a row: an error that stays needs a person
Floats = NDArray[np.float32]


def data_of(seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Samples from one model that all peers know nothing of."""
    truth = np.random.default_rng(1).normal(size=(FEATURES, CLASSES))
    inputs = np.random.default_rng(seed).normal(size=(SAMPLES, FEATURES)).astype(np.float32)
    return inputs, np.argmax(inputs @ truth, axis=1)


def gradient(weights: Floats, inputs: Floats, labels: NDArray[np.int64]) -> tuple[Floats, float]:
    scores = inputs @ weights
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    loss = float(-np.log(likely[np.arange(len(labels)), labels] + 1e-9).mean())
    likely[np.arange(len(labels)), labels] -= 1
    return (inputs.T @ likely / len(labels)).astype(np.float32), loss


def train(comm: hawser.Communicator, steps: int, pace_s: float) -> float:
    """One step after another. If a loss aborts a step, the remaining members make it again.

    A peer that has been alone for a while ends: the others are done. Members whose programs differ raise Mismatch.
    """
    inputs, labels = data_of(os.getpid())
    weights = np.zeros((FEATURES, CLASSES), np.float32)
    momentum = np.zeros_like(weights)
    state = hawser.SharedState({"weights": weights, "momentum": momentum})
    loss = float("inf")
    failures = 0
    while state.revision < steps:
        try:
            comm.update_topology()  # waiting peers join here
            state.sync(comm)  # a newcomer fetches everything, the others only compare
            if state.revision >= steps:
                break
            average, loss = gradient(weights, inputs, labels)
            reduced = comm.all_reduce(average, op=hawser.ReduceOp.AVG)
        except hawser.TooFewPeers:
            try:
                comm.wait(joiner=True, timeout_ms=ALONE_MS_MAX)
            except hawser.Timeout:
                break
            continue
        except hawser.HawserError as error:
            failures += 1
            if failures == FAILURES_MAX:
                raise
            if error.must_reconnect:
                comm.connect()
            elif not error.can_retry:
                raise
            continue
        failures = 0
        momentum *= 0.9
        momentum += average
        weights -= LEARNING_RATE * momentum
        state.revision += 1
        time.sleep(pace_s)
        if state.revision % 20 == 0:
            print(f"step {state.revision}: loss {loss:.3f}, {reduced.world_size} peers", flush=True)
    return loss


def join_and_train(master: str, steps: int, pace_s: float) -> None:
    with hawser.Communicator(master) as comm:
        comm.connect()
        print(f"peer {os.getpid()} ends with loss {train(comm, steps, pace_s):.3f}", flush=True)


def start_all(peers: int, kill: bool, options: list[str]) -> int:
    with hawser.Master("127.0.0.1:0") as master:
        command = [sys.executable, __file__, "--master", master.address, *options]

        def start(**how: Any) -> subprocess.Popen[str]:
            return subprocess.Popen(command, text=True, **how)

        running = [start(stdout=subprocess.PIPE if i == 0 else subprocess.DEVNULL) for i in range(peers)]
        first = running[0]
        assert first.stdout is not None
        for line in first.stdout:
            print(line, end="", flush=True)
            if kill and line.startswith("step"):
                kill = False
                print(f"kill -9 {running[-1].pid}", flush=True)
                running.pop().kill()
                running.append(start(stdout=subprocess.DEVNULL))
        return max(peer.wait() for peer in running)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--master", help="join this one instead of starting all")
    arguments.add_argument("--peers", type=int, default=3)
    arguments.add_argument("--steps", type=int, default=400)
    arguments.add_argument("--pace-ms", type=float, default=10, help="pause after each step, for a model so small")
    arguments.add_argument("--kill", action="store_true", help="kill a peer on the way, and start another")
    given = arguments.parse_args()
    if given.master is None:
        return start_all(given.peers, given.kill, [f"--steps={given.steps}", f"--pace-ms={given.pace_ms}"])
    join_and_train(given.master, given.steps, given.pace_ms / 1000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
