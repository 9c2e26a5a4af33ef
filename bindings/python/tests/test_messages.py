"""Messages between two members."""

from __future__ import annotations

import numpy as np
import pytest
from peers import run_threads

import hawser

SIZES = [0, 1, 1000, 70_000, 1_000_001]


def pattern(size: int, salt: int) -> np.ndarray:
    return np.arange(size, dtype=np.int32) * 7 + salt


def test_everybody_sends_to_everybody(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        others = [rank for rank in range(comm.group_size) if rank != comm.rank]
        received = [(source, np.zeros(size, np.int32)) for source in others for size in SIZES]
        ops = [comm.receive_async(tensor, source, tag=3) for source, tensor in received]
        ops += [comm.send_async(pattern(size, comm.rank), to, tag=3) for to in others for size in SIZES]
        comm.all_reduce(np.ones(100_000, np.float32))
        infos = [op.wait() for op in ops]
        for (source, tensor), info in zip(received, infos):
            assert np.array_equal(tensor, pattern(len(tensor), source))
            assert info.contributors == [comm.members[source].peer_id]
            assert info.bytes_received == tensor.nbytes
        comm.barrier()

    run_threads(master.address, 3, body)


def test_a_message_from_anybody(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        if comm.rank > 0:
            comm.send(np.array([comm.rank]), 0)
        else:
            tensor = np.zeros(1, np.int64)
            came = set()
            for _ in range(2):
                info = comm.receive(tensor)
                assert info.contributors == [comm.members[int(tensor[0])].peer_id]
                came.add(int(tensor[0]))
            assert came == {1, 2}
        comm.barrier()

    run_threads(master.address, 3, body)


def test_refusals(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        other = 1 - comm.rank
        comm.send(np.ones(3), other)
        with pytest.raises(hawser.Mismatch, match="24 bytes with tag 0, and the buffer that receives it has 16 bytes"):
            comm.receive(np.zeros(2), other)
        tensor = np.zeros(3)
        comm.receive(tensor, other)
        assert (tensor == 1).all()
        with pytest.raises(hawser.Timeout, match="timed out after"):
            comm.receive(tensor, other, timeout_ms=20)
        with pytest.raises(hawser.InvalidArgument, match="itself"):
            comm.send(tensor, comm.rank)
        with pytest.raises(hawser.InvalidArgument, match="one member"):
            comm.send(tensor)
        with pytest.raises(hawser.InvalidArgument, match="rank 7"):
            comm.send(tensor, 7)
        comm.barrier()

    run_threads(master.address, 2, body)
