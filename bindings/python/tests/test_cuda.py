"""Collectives on torch's CUDA tensors: two peers in threads, on one GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from peers import run_threads

import hawser

torch = pytest.importorskip("torch")
DEVICE = "cuda"
COUNT = 3_000_001

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]


def values(rank: int, count: int = COUNT) -> Any:
    return torch.arange(count, dtype=torch.float32, device=DEVICE) % 97 * (rank + 1)


def with_two(master: hawser.Master, body: Callable[[hawser.Communicator], Any]) -> list[Any]:
    return run_threads(master.address, 2, body)


def test_sums_are_right_in_place_and_out_of_place(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        mine, expected = values(comm.rank), values(0) + values(1)
        result = torch.zeros_like(mine)
        comm.all_reduce(mine, result)
        assert torch.equal(result, expected) and torch.equal(mine, values(comm.rank))
        comm.all_reduce(mine)
        assert torch.equal(mine, expected)

    with_two(master, body)


def test_what_is_on_the_stream_comes_first(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        with torch.cuda.stream(torch.cuda.Stream()):
            wide = torch.ones(2048, 2048, device=DEVICE)
            for _ in range(50):
                wide = wide @ torch.ones_like(wide) / 2048
            mine = wide.flatten() * (comm.rank + 1)
            comm.all_reduce(mine)
            assert torch.equal(mine, torch.full_like(mine, 3))

    with_two(master, body)


@pytest.mark.parametrize("quantization", ["int8", "int4", "bfloat16"])
def test_quantised_members_hold_the_bits_of_a_host_tensor(master: hawser.Master, quantization: str) -> None:
    def body(comm: hawser.Communicator) -> tuple[Any, Any]:
        on_device = values(comm.rank)
        on_host = on_device.cpu()
        comm.all_reduce(on_device, quantization=quantization)
        comm.all_reduce(on_host, quantization=quantization)
        return on_device.cpu(), on_host

    (first, first_host), (second, second_host) = with_two(master, body)
    assert torch.equal(first, second)
    assert torch.equal(first_host, second_host)
    assert torch.equal(first, first_host)


def test_one_member_has_its_tensor_on_the_host(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        mine = values(comm.rank)
        if comm.rank == 0:
            mine = mine.cpu()
        comm.all_reduce(mine)
        assert torch.equal(mine.to(DEVICE), values(0) + values(1))

    with_two(master, body)


def test_lists_of_tensors_of_all_sizes(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        counts = [1, 5, 1000, 70_000, COUNT]
        tensors = [values(comm.rank, count) for count in counts]
        comm.all_reduce_many(tensors)
        for tensor, count in zip(tensors, counts):
            assert torch.equal(tensor, values(0, count) + values(1, count))

    with_two(master, body)


def test_calls_in_the_background_overlap_the_devices_work(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        mine = values(comm.rank)
        result = torch.zeros_like(mine)
        operation = comm.all_reduce_async(mine, result)
        other = torch.ones(1000, device=DEVICE).sum()
        operation.wait()
        assert other.item() == 1000
        assert torch.equal(result, values(0) + values(1))

    with_two(master, body)


@pytest.mark.parametrize("quantization", [None, "int8"])
def test_a_stream_waits_for_two_calls_in_place(master: hawser.Master, quantization: str | None) -> None:
    def body(comm: hawser.Communicator) -> None:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            tensors = [values(comm.rank, COUNT), values(comm.rank, COUNT)]
            operations = [
                comm.all_reduce_async(tensor, tag=tag, quantization=quantization)
                for tag, tensor in enumerate(tensors)
            ]
            for operation in operations:
                operation.stream_wait(stream.cuda_stream)
            difference = (tensors[0] - tensors[1]).abs().max()
            first = tensors[0].clone()
        for operation in operations:
            operation.wait()
        stream.synchronize()
        if quantization is None:
            assert difference.item() == 0 and torch.equal(first, values(0) + values(1))

    with_two(master, body)
