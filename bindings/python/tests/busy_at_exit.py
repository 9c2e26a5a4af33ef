"""Ends while daemon threads are in calls that run without the interpreter's lock."""

from __future__ import annotations

import threading

import numpy as np

import hawser

THREADS = 4
# Each thread twice in a call: some wait for the lock, which the end of the interpreter then keeps from them.
entered = threading.Semaphore(0)


def work() -> None:
    residual = hawser.Residual.like(np.ones(1_000_000, dtype=np.float32))
    while True:
        _ = residual.norm
        entered.release()


for _ in range(THREADS):
    threading.Thread(target=work, daemon=True).start()
for _ in range(2 * THREADS):
    entered.acquire()
