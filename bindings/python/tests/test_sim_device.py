"""Collectives on tensors of the simulated device, in processes that have HAWSER_DEVICE=sim."""

import os
import subprocess
import sys

import numpy
import pytest
from sim_peers import run_with_devices

import hawser


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
        apart[0].synchronise()
        received = [CudaArray(apart[0], stream=None), apart[1]]  # the default stream of its device is waited for
        both(lambda i: peers[i].all_reduce(mixed[i], received[i]))
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


@pytest.mark.parametrize("way", ["CudaArray", "DLPackArray"])
def test_either_way_of_giving_memory_is_enough(way: str) -> None:
    run_with_devices(f"""
        way = {way}""" + """
        count = 100_003
        give = lambda i, kind="float32": (numpy.arange(count) % 97 * (i + 1)).astype(kind)
        for kind in ("float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint64"):
            tensors = [way(sim_device.Tensor(give(i, kind), device=i)) for i in range(2)]
            both(lambda i: peers[i].all_reduce(tensors[i], op="max"))
            for one in tensors:
                assert (one.tensor.numpy() == numpy.maximum(give(0, kind), give(1, kind))).all(), kind

        lists = [[way(sim_device.Tensor(give(i)[:n].reshape(-1, 1))) for n in (7, 1, 1000)] for i in range(2)]
        both(lambda i: peers[i].all_reduce_many(lists[i]))
        assert (lists[0][2].tensor.numpy().ravel() == (give(0) + give(1))[:1000]).all()

        one = [way(sim_device.Tensor(give(i))) for i in range(2)]
        two = [way(sim_device.Tensor(numpy.zeros(2 * count, numpy.float32))) for i in range(2)]
        both(lambda i: peers[i].all_gather(one[i], two[i]))
        both(lambda i: peers[i].reduce_scatter(two[i], one[i]))
        both(lambda i: peers[i].broadcast(one[i], root=0))
        ranks = [peer.rank for peer in peers]
        assert (one[1].tensor.numpy() == 2 * give(ranks.index(0))).all()
    """)


def test_what_a_cuda_array_says_is_checked() -> None:
    run_with_devices("""
        x = sim_device.Tensor(numpy.zeros((4, 6), numpy.float32))
        address = x.__cuda_array_interface__["data"][0]

        def refused(sentence, given, kind=hawser.InvalidArgument, **more):
            try:
                peers[0].all_reduce(given, **more)
            except kind as error:
                assert sentence in str(error), error
            else:
                raise SystemExit(f"{sentence}: it was taken")

        refused("the send tensor is read-only, and this call writes to it", CudaArray(x, data=(address, True)))
        refused("the receive tensor is read-only", x, receive=CudaArray(x, data=(address, True)))
        refused("not contiguous", CudaArray(x, strides=(4, 16)))
        refused("not contiguous", CudaArray(x, strides=(24, 5)))
        refused("(<c8)", CudaArray(x, typestr="<c8"))
        refused("(>f4)", CudaArray(x, typestr=">f4"))
        refused("(|b1)", CudaArray(x, typestr="|b1"))
        refused("has a mask", CudaArray(x, mask=x))
        refused("names stream 0", CudaArray(x, stream=0))
        refused("a thread's default stream", CudaArray(x, stream=2))
        refused("cannot be read (an extent is negative)", CudaArray(x, shape=(-1,)))
        refused("cannot be read", CudaArray(x, data=None))
        refused("cannot be read", CudaArray(x, shape="4"))
        refused("beyond", CudaArray(x, shape=(1 << 20,)))
        refused("no device is known here", CudaArray(x, data=(numpy.zeros(24, numpy.float32).ctypes.data, False)))
        refused("are on different streams", x, receive=CudaArray(x, stream=x.hawser_stream + 8))
        elsewhere = sim_device.Tensor(numpy.zeros((4, 6), numpy.float32), device=1)
        refused("on another device", x, receive=elsewhere)
        broken = CudaArray(x)
        del broken.__cuda_array_interface__["shape"]
        refused("cannot be read ('shape')", broken)
        refused("none of DLPack", object(), kind=TypeError)

        # Contiguous, said in words; and an input that nobody writes to may be read-only.
        for changed in ({"data": (address, True), "strides": (24, 4)}, {"stream": None}, {"stream": 1}):
            both(lambda i: peers[i].all_reduce(CudaArray(x, **changed), numpy.ones(24, numpy.float32)))
    """)


def test_memory_is_kept_while_an_operation_in_the_background_lasts() -> None:
    run_with_devices("""
        import gc
        import weakref

        for way in (CudaArray, DLPackArray):
            tensor = sim_device.Tensor(numpy.ones(1000, numpy.float32))
            given, lives = way(tensor), weakref.ref(tensor)
            operation = peers[0].all_reduce_async(given)
            del tensor, given
            gc.collect()
            assert lives() is not None and not operation.test()
            peers[1].all_reduce(numpy.ones(1000, numpy.float32))
            operation.wait()
            gc.collect()
            assert lives() is None

        # Dropped before its end, the operation still has the memory.
        tensor = sim_device.Tensor(numpy.ones(1000, numpy.float32))
        lives = weakref.ref(tensor)
        peers[0].all_reduce_async(tensor)
        del tensor
        gc.collect()
        assert lives() is not None
        peers[1].all_reduce(numpy.ones(1000, numpy.float32))
    """)


def test_a_stream_waits_for_an_operation_and_the_host_does_not() -> None:
    run_with_devices("""
        x = sim_device.Tensor(numpy.ones(1000, numpy.float32))
        operation = peers[0].all_reduce_async(x)
        operation.stream_wait(x.hawser_stream)
        assert not operation.test()
        seen = pool.submit(x.numpy)  # after what is on the stream
        peers[1].all_reduce(numpy.ones(1000, numpy.float32))
        assert (seen.result() == 2).all()
        operation.wait()
        operation.stream_wait(x.hawser_stream)  # again, and after its end: nothing to wait for

        on_host = peers[0].all_reduce_async(numpy.ones(10, numpy.float32))
        try:
            on_host.stream_wait(x.hawser_stream)
            os._exit(1)
        except hawser.InvalidArgument as error:
            assert "device" in str(error), error
        peers[1].all_reduce(numpy.ones(10, numpy.float32))
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
