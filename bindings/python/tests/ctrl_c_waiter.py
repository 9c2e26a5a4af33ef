"""Waits in the call named by its argument; says when it is inside it, and how the call ended."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from peers import communicator, joined

import hawser


def tell_when_inside(name: str) -> None:
    main = threading.main_thread().ident
    assert main is not None
    while True:
        code = sys._current_frames()[main].f_code
        if code.co_name == name and "hawser" in code.co_filename:
            print("inside", flush=True)
            return
        time.sleep(0.01)


# A shell starts background jobs with Ctrl-C ignored, and they hand that down.
signal.signal(signal.SIGINT, signal.default_int_handler)
call, address = sys.argv[1:]
tensor = np.ones(1000)
state = hawser.SharedState({"tensor": np.ones(10)})
with communicator(address) if call == "connect" else joined(address, 2) as comm:
    calls: dict[str, Callable[[], Any]] = {
        "connect": comm.connect,
        "update_topology": comm.update_topology,
        "barrier": comm.barrier,
        "all_reduce": lambda: comm.all_reduce(tensor),
        "all_reduce_many": lambda: comm.all_reduce_many([tensor]),
        "wait": lambda: comm.all_reduce_async(tensor).wait(),
        "sync": lambda: state.sync(comm),
    }
    while call == "update_topology" and not comm.pending:
        time.sleep(0.01)  # it would return at once
    threading.Thread(target=tell_when_inside, args=(call,), daemon=True).start()
    try:
        calls[call]()
        print("returned", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
print("closed", flush=True)
