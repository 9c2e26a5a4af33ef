from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from peers import communicator, gather, joined, run_threads

import hawser
from hawser import SharedState, SyncStrategy


def test_sync(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> str:
        newest = comm.rank == 2
        weights = np.full((100, 1000), 7.0 if newest else comm.rank, np.float32)
        step = np.array([comm.rank], np.int64)
        local = np.full(4, comm.rank)
        state = SharedState(
            {"weights": weights, "step": step, "local": local},
            allow_content_inequality=["local"],
            revision=5 if newest else 0,
        )
        calls: list[tuple[int, int]] = []
        info = state.sync(comm, progress=lambda done, total: calls.append((done, total)))
        assert (weights == 7).all() and step[0] == 2 and state.revision == info.revision == 5
        assert info.world_size == 3 and info.tensors == 3 and info.bytes == 400_000 + 8 + 32
        if newest:
            assert info.bytes_fetched == 0 and not info.sources
        else:
            assert info.bytes_fetched >= 400_000 and sum(s.bytes for s in info.sources) == info.bytes_fetched
            assert calls and calls[-1][0] == calls[-1][1] > 0
        weights += 1
        state.revision += 1
        state.mark_changed("weights")
        info = state.sync(comm, only_marked=True, strategy=SyncStrategy.ENFORCE_POPULAR)
        assert info.bytes_fetched == 0 and info.revision == 6
        return state.digest()

    digests = run_threads(master.address, 3, body)
    assert len(set(digests)) == 1 and len(digests[0]) == 32


def test_strategies_and_mismatch(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        values = np.full(10, comm.rank)
        with SharedState({"values": values}) as state:
            sends = comm.rank == 1
            state.sync(comm, strategy=SyncStrategy.SEND_ONLY if sends else SyncStrategy.RECEIVE_ONLY)
            assert (values == 1).all()
        with SharedState({f"of rank {comm.rank}": values}) as other:
            with pytest.raises(hawser.Mismatch) as raised:
                other.sync(comm)
            assert raised.value.incomplete is False
        comm.barrier()

    run_threads(master.address, 2, body)


def test_progress_that_raises(master: hawser.Master) -> None:
    def refuse(done: int, total: int) -> None:
        raise RuntimeError("enough")

    def body(comm: hawser.Communicator) -> None:
        values = np.full(1 << 18, comm.rank)
        state = SharedState({"values": values}, revision=1 - comm.rank)
        if comm.rank == 0:
            state.sync(comm)
        else:
            with pytest.raises(RuntimeError, match="enough"):
                state.sync(comm, progress=refuse)
            assert (values == 0).all() and state.revision == 1  # it had its end all the same
        comm.barrier()

    run_threads(master.address, 2, body)


def test_checkpoint(tmp_path: Path) -> None:
    weights, bias = np.arange(1000, dtype=np.float32), np.array([1, 2], np.int16)
    state = SharedState({"weights": weights, "bias": bias}, revision=12)
    digest = state.digest()
    state.save(tmp_path / "state.safetensors")
    weights[:] = 0
    state.revision = 0
    assert state.load(tmp_path / "state.safetensors") == 12 == state.revision
    assert state.digest() == digest and weights[999] == 999
    with pytest.raises(hawser.Mismatch):
        SharedState({"weights": weights}).load(tmp_path / "state.safetensors")
    safetensors = pytest.importorskip("safetensors.numpy")
    assert (safetensors.load_file(tmp_path / "state.safetensors")["weights"] == weights).all()


def test_arguments() -> None:
    values = np.zeros(10)
    with pytest.raises(hawser.InvalidArgument):
        SharedState({"one": values, "two": values[1:]})
    with SharedState({"one": values, "two": values}) as tied:
        assert list(tied.tensors) == ["one", "two"]
        tied.mark_changed("two")
    with pytest.raises(hawser.InvalidArgument, match='"read" tensor is read-only'):
        SharedState({"read": b"only"})
    with pytest.raises(KeyError):
        SharedState({"one": values}, allow_content_inequality=["two"])
    state = SharedState({"one": values})
    assert state.tensors["one"] is values
    with pytest.raises(hawser.InvalidArgument):
        state.mark_changed("two")
    state.close()
    state.close()
    with pytest.raises(hawser.Closed):
        state.digest()


def test_prefetch(master: hawser.Master) -> None:
    fetched = threading.Event()
    ready = threading.Barrier(3)
    errors: list[BaseException] = []

    def member() -> None:
        try:
            with joined(master.address, 2) as comm:
                state = SharedState({"weights": np.full(1 << 20, 3.0)}, revision=comm.rank)
                state.sync(comm)
                state.offer(comm)
                ready.wait(60)
                gather(comm, 3)
                state.withdraw()
                state.sync(comm)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=member, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    with communicator(master.address) as comm:
        weights = np.zeros(1 << 20)
        state = SharedState({"weights": weights})
        ready.wait(60)
        calls: list[int] = []
        info = comm.connect(prefetch=state, progress=lambda done, total: calls.append(done))
        fetched.set()
        assert info.complete and info.revision == 1 and info.bytes_fetched == info.bytes_total == 8 << 20
        assert (weights == 3).all()
        gather(comm, 3)
        assert state.sync(comm).bytes_fetched == 0
        for thread in threads:
            thread.join(60)
    assert not errors


def test_types_and_orders_that_the_library_does_not_have(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        r = comm.rank
        mask = np.array([True, r == 0, False])
        waves = np.array([1 + 2j * r, r], np.complex64)
        turned = np.full((3, 5), r, np.float32).T
        nested = {"mask": mask, "opt": {"waves": waves, 0: {"turned": turned}}}
        state = SharedState(nested, revision=1 - r)
        assert list(state.tensors) == ["mask", "opt.waves", "opt.0.turned"]
        state.sync(comm)
        assert list(mask) == [True, True, False]
        assert list(waves) == [1 + 0j, 0] and (turned == 0).all()
        turned[2, 1] = 5
        state.revision += 1
        state.mark_changed("opt.0.turned")
        assert state.sync(comm, only_marked=True).bytes_fetched == 0
        # Another order of memory would be other content under the same bytes.
        other = turned if r == 0 else np.ascontiguousarray(turned)
        with SharedState({"turned": other}) as differs, pytest.raises(hawser.Mismatch):
            differs.sync(comm)

    run_threads(master.address, 2, body)


def test_what_is_no_state(master: hawser.Master) -> None:
    for wrong in ({"step": 3}, {"a": {"b": None}}, {"a": {"betas": (0.9, 0.95)}}):
        with pytest.raises(TypeError, match="no tensor: leave it out"):
            SharedState(wrong)
    with pytest.raises(ValueError, match=r"two tensors are called a\.b"):
        SharedState({"a.b": np.zeros(1), "a": {"b": np.zeros(1)}})
