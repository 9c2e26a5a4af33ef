"""Ends with communicators open, one of them in a call of a daemon thread."""

from __future__ import annotations

import sys
import threading

import numpy as np
from peers import communicator, gather

import hawser


def join(comm: hawser.Communicator) -> None:
    comm.connect()
    gather(comm, 2)


def wait() -> None:
    try:
        comms[0].barrier(tag=1)
    except hawser.HawserError:  # closed, or its peer was before it
        pass


comms = [communicator(sys.argv[1]) for _ in range(2)]
threads = [threading.Thread(target=join, args=(comm,)) for comm in comms]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
op = comms[0].all_reduce_async(np.ones(1000))
threading.Thread(target=wait, daemon=True).start()
hawser.log_to_logging()
