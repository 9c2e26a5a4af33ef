"""What a member can ask for about its group: tokens counted, bytes sent, the group's model."""

from __future__ import annotations

from typing import Any

import pytest
from peers import PeerProcess, communicator, run_threads
from multiprocessing.connection import Connection

import hawser

torch = pytest.importorskip("torch")

from toy_training import Toy, train  # noqa: E402

from hawser.torch import AsyncDiLoCo, DataParallel, DiLoCo, StreamingDiLoCo  # noqa: E402
from hawser.torch.roll_call import RollCall  # noqa: E402

H = 4
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "DiLoCo": (DiLoCo, {}),
    "AsyncDiLoCo": (AsyncDiLoCo, {}),
    "StreamingDiLoCo": (StreamingDiLoCo, {"fragments": 2, "overlap": 1}),
}


def make(kind: str, comm: hawser.Communicator, toy: Toy, **options: Any) -> Any:
    loop, own = KINDS[kind]
    return loop(toy.parameters, toy.sgd, comm, sync_every=H, alone_timeout_s=30, **own, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_total_weight_is_of_all_members_that_counted(master: hawser.Master, kind: str) -> None:
    def body(comm: hawser.Communicator) -> tuple[list[int], int]:
        toy = Toy(comm.rank)
        weight = (100, 23, 0)[comm.rank]
        loop = make(kind, comm, toy, weight=lambda: weight)
        totals = []
        for _ in range(3):
            train(loop, toy, H)
            totals.append(loop.total_weight)
        assert loop.bytes_sent >= 3 * 4 * sum(parameter.numel() for parameter in toy.parameters)
        saved = loop.state_dict()
        loop.load_state_dict(saved)
        assert loop.total_weight == totals[-1]
        return totals, loop.total_weight

    late = kind == "AsyncDiLoCo"
    expected = [0, 123, 246] if late else [123, 246, 369]
    assert run_threads(master.address, 3, body) == [(expected, expected[-1])] * 3


@pytest.mark.parametrize(
    "kind",
    ["DiLoCo", *(pytest.param(kind, marks=pytest.mark.soak) for kind in KINDS if kind != "DiLoCo")],
)
def test_newcomer_knows_the_total(master: hawser.Master, kind: str) -> None:
    """It comes when the others have counted 10 rounds at least, in which it had no part."""
    others = [PeerProcess(_member, master.address, kind, number) for number in range(2)]
    for each in others:
        assert each.receive() == "counted"
    newcomer = PeerProcess(_newcomer, master.address, kind)
    total, digests = newcomer.result()
    assert total >= 10 * 2 * 7
    for each in others:
        each.pipe.send("end")
    for each in others:
        seen: dict[int, str] = each.result()
        assert seen[total] == digests


def _member(address: str, pipe: Connection, kind: str, number: int) -> dict[int, str]:
    with communicator(address, min_peers=2) as comm:
        toy = Toy(number)
        loop = make(kind, comm, toy, weight=lambda: 7, on_alone="continue")
        seen: dict[int, str] = {}
        told = False
        while not pipe.poll():
            train(loop, toy, H)
            seen[loop.total_weight] = loop.digest()
            if not told and loop.total_weight >= 10 * 2 * 7:
                told = True
                pipe.send("counted")
        pipe.recv()
        return seen


def _newcomer(address: str, pipe: Connection, kind: str) -> tuple[int, str]:
    with hawser.Communicator(address, listen_address="127.0.0.1", connect_ms=30_000) as comm:
        loop = make(kind, comm, Toy(9), weight=lambda: 7)
        return loop.total_weight, loop.digest()


@pytest.mark.parametrize("kind", KINDS)
def test_outer_parameters(master: hawser.Master, kind: str) -> None:
    def body(comm: hawser.Communicator) -> list[bytes]:
        toy = Toy(comm.rank)
        loop = make(kind, comm, toy)
        train(loop, toy, 3 * H)
        outer = loop.outer_parameters()
        assert [outer[name].shape for name in ("0", "1", "2")] == [each.shape for each in toy.parameters]
        if kind == "DiLoCo":
            assert [outer[name].numpy().tobytes() for name in outer] == toy.values()
        before = loop.digest()
        outer["0"].zero_()
        assert loop.digest() == before
        return [outer[name].numpy().tobytes() for name in ("1", "2")]

    first, second = run_threads(master.address, 2, body)
    assert first == second


def test_bytes_of_data_parallel(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> int:
        toy = Toy(comm.rank)
        parallel = DataParallel(toy.parameters, comm)
        for _ in range(3):
            sum((parameter**2).sum() for parameter in toy.parameters).backward()  # type: ignore[union-attr]
            parallel.finish()
        comm.barrier()
        parallel.close()
        return parallel.bytes_sent

    elements = sum(parameter.numel() for parameter in Toy(0).parameters)
    roll = 8 * (1 + RollCall.NUMBERS)  # whose gradients are finite
    assert run_threads(master.address, 2, body) == [3 * (4 * elements + roll)] * 2
