"""Torch on memory of the simulated device: a touch by torch on the host ends the process.

Torch knows no simulated device. Its tensors say that they lie in CPU memory, and the library sees by their address that
they do not.
"""

import pytest

pytest.importorskip("torch")
from sim_peers import run_with_devices

_ON_DEVICE = """
        import ctypes
        import torch
        from torch_groups import group_of

        kept = []

        def on_device(array, device=0):
            made = sim_device.Tensor(array, device)
            made.numpy()  # its stream has written it
            kept.append(made)
            address = made.__cuda_array_interface__["data"][0]
            memory = (ctypes.c_char * array.nbytes).from_address(address)
            tensor = torch.frombuffer(memory, dtype=getattr(torch, str(array.dtype)))
            assert tensor.data_ptr() == address
            return made, tensor

        count = 100_003
        give = lambda rank: numpy.arange(count, dtype=numpy.float32) % 97 * (rank + 1)
        groups = [group_of(peer) for peer in peers]
        ranks = [each.rank() for each in groups]
"""


def test_the_backend_hands_tensors_on_devices_to_the_library() -> None:
    run_with_devices(
        _ON_DEVICE
        + """
        tensors = [on_device(give(ranks[i])) for i in range(2)]
        both(lambda i: groups[i].allreduce([tensors[i][1]]).wait())
        for made, _ in tensors:
            assert (made.numpy() == give(0) + give(1)).all()

        several = [[on_device(give(ranks[i])[:n]) for n in (5, 1000)] for i in range(2)]
        both(lambda i: groups[i].allreduce_coalesced([tensor for _, tensor in several[i]]).wait())
        assert (several[0][1][0].numpy() == (give(0) + give(1))[:1000]).all()

        tensors = [on_device(give(ranks[i])) for i in range(2)]
        both(lambda i: groups[i].broadcast([tensors[i][1]]).wait())
        for made, _ in tensors:
            assert (made.numpy() == give(0)).all()

        mine = [on_device(give(ranks[i])) for i in range(2)]
        whole = [on_device(numpy.zeros(2 * count, numpy.float32)) for i in range(2)]
        both(lambda i: groups[i].all_gather_single(whole[i][1], mine[i][1]).wait())
        for made, _ in whole:
            assert (made.numpy() == numpy.concatenate([give(0), give(1)])).all()

        both(lambda i: groups[i].reduce_scatter_single(mine[i][1], whole[i][1]).wait())
        for i in range(2):
            assert (mine[i][0].numpy() == 2 * give(ranks[i])).all()
        assert sim_device.counters()["bytes_down"] > 0
    """
    )


def test_bool_tensors_on_devices_are_reduced_as_bytes() -> None:
    run_with_devices(
        _ON_DEVICE
        + """
        flags = [(numpy.arange(100) % (2 + ranks[i]) == 0).astype(numpy.uint8) for i in range(2)]
        tensors = [on_device(flags[i]) for i in range(2)]
        both(lambda i: groups[i].allreduce([tensors[i][1].view(torch.bool)]).wait())
        assert (tensors[0][0].numpy() == flags[0] | flags[1]).all()
    """
    )
