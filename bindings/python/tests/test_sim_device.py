"""Collectives on tensors of the simulated device, in processes that have HAWSER_DEVICE=sim."""

import os
import subprocess
import sys
import textwrap

import numpy
import pytest

import hawser


def run_with_devices(script: str, device: str = "sim:seed=3") -> str:
    """Runs a Python script that has two peers in threads, `peers`, and `both(call)`."""
    prelude = """
        import concurrent.futures
        import numpy
        import hawser
        import hawser.optim
        from hawser import sim_device

        master = hawser.Master("127.0.0.1:0")
        peers = [hawser.Communicator(master.address) for _ in range(2)]
        pool = concurrent.futures.ThreadPoolExecutor(2)

        def both(call):
            return list(pool.map(call, range(2)))

        both(lambda i: peers[i].connect())
        while any(peer.world_size < 2 for peer in peers):
            both(lambda i: peers[i].update_topology())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(script)],
        env={**os.environ, "HAWSER_DEVICE": device},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_collectives_take_tensors_on_devices() -> None:
    run_with_devices("""
        count = 300_001
        give = lambda i: numpy.arange(count, dtype=numpy.float32) % 97 * (i + 1)
        on_device = [sim_device.Tensor(give(i), device=i) for i in range(2)]
        both(lambda i: peers[i].all_reduce(on_device[i]))
        for one in on_device:
            assert (one.numpy() == give(0) + give(1)).all()

        mixed = [sim_device.Tensor(give(0)), give(1)]
        apart = [sim_device.Tensor(numpy.zeros(count, numpy.float32), device=1), numpy.zeros(count, numpy.float32)]
        both(lambda i: peers[i].all_reduce(mixed[i], apart[i]))
        assert (apart[0].numpy() == apart[1]).all() and (apart[1] == give(0) + give(1)).all()
        assert (mixed[0].numpy() == give(0)).all()

        lists = [[sim_device.Tensor(give(i)[:7]), give(i)[:5], sim_device.Tensor(give(i), device=1)] for i in range(2)]
        both(lambda i: peers[i].all_reduce_many(lists[i]))
        for small, host, large in lists:
            assert (small.numpy() == (give(0) + give(1))[:7]).all()
            assert (host == (give(0) + give(1))[:5]).all()
            assert (large.numpy() == give(0) + give(1)).all()

        gathered = [sim_device.Tensor(numpy.zeros(2 * count, numpy.float32)) for _ in range(2)]
        both(lambda i: peers[i].all_gather(sim_device.Tensor(give(i)), gathered[i]))
        ranks = [peer.rank for peer in peers]
        for one in gathered:
            assert (one.numpy().reshape(2, count)[ranks[1]] == give(1)).all()
        both(lambda i: peers[i].broadcast(gathered[i], root=0))

        down = sim_device.counters()["bytes_down"]
        assert down > 0
    """)


def test_quantised_members_hold_the_same_bits() -> None:
    run_with_devices("""
        values = [sim_device.Tensor(numpy.linspace(0, i + 1, 50_000, dtype=numpy.float32), device=i) for i in range(2)]
        both(lambda i: peers[i].all_reduce(values[i], quantization="int8"))
        assert (values[0].numpy() == values[1].numpy()).all()
    """)


def test_a_shared_state_lies_on_devices_and_on_the_host() -> None:
    run_with_devices("""
        import os
        import tempfile

        counts = {"weights": 700_001, "momentum": 300_000, "step": 3}

        def made(value, places):
            tensors = {}
            for (name, count), place in zip(counts.items(), places):
                array = numpy.full(count, value, numpy.float32)
                tensors[name] = array if place is None else sim_device.Tensor(array, device=place)
            return hawser.SharedState(tensors)

        def holds(state, value):
            arrays = [x if isinstance(x, numpy.ndarray) else x.numpy() for x in state.tensors.values()]
            return all((array == value).all() for array in arrays)

        states = [made(1, [0, 1, None]), made(2, [None, 0, 1])]
        states[0].revision = 1
        both(lambda i: states[i].sync(peers[i]))
        assert all(holds(state, 1) for state in states)
        assert states[0].digest() == states[1].digest() == made(1, [None] * 3).digest()

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "state")
            states[0].save(path)
            loaded = made(3, [None, None, 1])
            assert loaded.load(path) == 1 and holds(loaded, 1)

        states[0].offer(peers[0])
        newcomer = hawser.Communicator(master.address)
        fetched = made(4, [1, 0, None])
        with concurrent.futures.ThreadPoolExecutor(1) as another:
            joined = another.submit(lambda: newcomer.connect(prefetch=fetched))
            while any(peer.world_size < 3 for peer in peers):
                both(lambda i: peers[i].update_topology())
            assert joined.result().complete
        assert holds(fetched, 1)
    """)


def test_other_calls_refuse_a_device_in_words() -> None:
    run_with_devices("""
        x = sim_device.Tensor(numpy.zeros(10, numpy.float32))
        try:
            hawser.optim.scale(x)
            raise SystemExit("it was taken")
        except hawser.InvalidArgument as error:
            assert "is on a device; this call takes tensors in CPU memory" in str(error), error
    """)


def test_without_the_simulated_device_there_is_none() -> None:
    if os.environ.get("HAWSER_DEVICE", "").startswith("sim"):
        pytest.skip("this process has it")
    with pytest.raises(hawser.InvalidUsage, match="HAWSER_DEVICE=sim"):
        from hawser import sim_device

        sim_device.Tensor(numpy.zeros(3, numpy.float32))


def test_a_wrong_name_of_a_device_is_told_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import hawser; hawser.Communicator('127.0.0.1:1')"],
        env={**os.environ, "HAWSER_DEVICE": "gpu"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "HAWSER_DEVICE is 'gpu'; it can be cuda, none, or sim" in done.stderr
    assert done.returncode == 1


def test_a_stream_that_failed_is_told() -> None:
    out = run_with_devices(
        """
        x = sim_device.Tensor(numpy.ones(100_000, numpy.float32))
        try:
            pool.submit(peers[0].all_reduce, x).result(60)
        except hawser.SystemFailure as error:
            assert "simulated device 0 failed" in str(error), error
            print("told")
        """,
        device="sim:seed=3,fails=1",
    )
    assert "told" in out
