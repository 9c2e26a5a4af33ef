"""Scripts with two peers in a process that has simulated devices, whose memory faults when the host touches it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

def run_with_devices(script: str, device: str = "sim:seed=3") -> str:
    """Runs a Python script that has two peers in threads, `peers`, and `both(call)`."""
    prelude = """
        import concurrent.futures
        import os
        import traceback

        import numpy
        import hawser
        import hawser.optim
        from hawser import sim_device

        master = hawser.Master("127.0.0.1:0")
        peers = [hawser.Communicator(master.address, name=f"peer {i}", min_peers=2) for i in range(2)]
        pool = concurrent.futures.ThreadPoolExecutor(2)

        def called(call, i):
            try:
                return call(i)
            except BaseException:
                traceback.print_exc()
                os._exit(1)  # the other peer waits for this one

        def both(call):
            return list(pool.map(lambda i: called(call, i), range(2)))

        class CudaArray:  # as CuPy, Numba and JAX have it
            def __init__(self, tensor, **changed):
                self.tensor = tensor
                self.__cuda_array_interface__ = {**tensor.__cuda_array_interface__, **changed}

        class DLPackArray:
            def __init__(self, tensor):
                self.tensor, self.hawser_stream = tensor, tensor.hawser_stream

            def __dlpack__(self, **options):
                return self.tensor.__dlpack__(**options)

            def __dlpack_device__(self):
                return self.tensor.__dlpack_device__()

        both(lambda i: peers[i].connect())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(script)],
        env={**os.environ, "HAWSER_DEVICE": device},
        cwd=Path(__file__).parent,  # scripts may import what tests have in common
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
