from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from peers import communicator, run_threads

import hawser

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_import_is_light() -> None:
    code = "import hawser, sys; sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'multiprocessing')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_command() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "hawser", "--version"], timeout=60, capture_output=True, text=True
    )
    assert said.returncode == 0 and said.stdout == f"hawser {hawser.__version__}\n"
    bench = [sys.executable, "-m", "hawser", "bench", "all-reduce", "--world", "2", "--sizes", "1K", "--rounds", "1"]
    assert subprocess.run(bench, timeout=60, capture_output=True).returncode == 0


def test_the_status_command(master: hawser.Master) -> None:
    def ask(comm: hawser.Communicator) -> str:
        said = subprocess.run(
            [sys.executable, "-m", "hawser", "status", master.address], timeout=60, capture_output=True, text=True
        )
        assert said.returncode == 0, said.stderr
        comm.barrier()  # Nobody leaves before all have asked.
        return said.stdout

    for said in run_threads(master.address, 2, ask, name="Grace"):
        assert "2 members in 1 group" in said and said.count("Grace\n") == 2
    gone = subprocess.run(
        [sys.executable, "-m", "hawser", "status", "127.0.0.1:1"], timeout=60, capture_output=True, text=True
    )
    assert gone.returncode == 1 and "127.0.0.1:1" in gone.stderr


def test_logging(caplog: pytest.LogCaptureFixture) -> None:
    hawser.set_log_level(hawser.LogLevel.DEBUG)
    logger = logging.getLogger("hawser")
    hawser.log_to_logging()
    try:
        with caplog.at_level(logging.DEBUG, logger="hawser"):
            with hawser.Master("127.0.0.1:0") as master, communicator(master.address) as comm:
                comm.connect()
            hawser.log_to_stderr()
        assert caplog.records
    finally:
        hawser.log_to_stderr()
        hawser.set_log_level(hawser.LogLevel.NOTICE)


def test_notices_have_a_level_of_logging() -> None:
    assert logging.getLevelName(25) == "NOTICE"
    assert int(hawser.LogLevel.WARNING.value) < int(hawser.LogLevel.NOTICE.value) < int(hawser.LogLevel.INFO.value)


def test_the_library_does_not_wait_for_the_interpreter(caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe()
    code = (
        "import os, sys, hawser\n"
        "with hawser.Communicator(sys.argv[1], listen_address='127.0.0.1', connect_ms=30_000) as comm:\n"
        "    comm.connect()\n"
        "os.write(int(sys.argv[2]), b'x')\n"
    )
    hawser.set_log_level(hawser.LogLevel.DEBUG)
    hawser.log_to_logging()
    try:
        with caplog.at_level(logging.DEBUG, logger="hawser"), hawser.Master("127.0.0.1:0", bootstrap_ms=200) as master:
            peer = subprocess.Popen([sys.executable, "-c", code, master.address, str(writer)], pass_fds=[writer])
            os.close(writer)
            # PyDLL holds the interpreter's lock meanwhile, as a bad extension might: the master must log and go on.
            assert ctypes.PyDLL(None).read(reader, ctypes.create_string_buffer(1), 1) == 1
            assert peer.wait(60) == 0
            hawser.log_to_stderr()
        assert caplog.records
    finally:
        os.close(reader)
        hawser.log_to_stderr()
        hawser.set_log_level(hawser.LogLevel.NOTICE)


def test_records(master: hawser.Master) -> None:
    with communicator(master.address, name="Ada") as comm:
        comm.connect()
        info = comm.info()
        assert info.as_dict()["rank"] == 0 == comm.rank and repr(info).startswith("CommInfo(peer_id=")
        assert comm.members[0].name == "Ada" and comm.members[0].peer_id == comm.peer_id
        assert comm.world_size == comm.group_size == 1 and comm.epoch == info.epoch
        assert comm.pending is False
    quantization = hawser.Quantization.blockwise(block=128)
    assert quantization.block == 128 and "BLOCKWISE" in repr(quantization)


def test_master_waits() -> None:
    master = hawser.Master("127.0.0.1:0")
    assert not master.wait(0)
    threading.Timer(0.05, master.close).start()
    assert master.wait(30)


@pytest.mark.parametrize("arguments", [["hello_all_reduce.py"], ["numpy_training.py", "--steps", "200", "--kill"]])
def test_examples(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / arguments[0]), *arguments[1:]],
        timeout=150,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
