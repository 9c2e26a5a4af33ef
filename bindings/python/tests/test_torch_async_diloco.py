from __future__ import annotations

import threading
from typing import Any

import pytest
from peers import communicator, run_threads

import hawser

torch = pytest.importorskip("torch")

from toy_training import Delayed, Outer, Toy, arrays, average, bits, delayed_reference, train  # noqa: E402
from training_watch import (  # noqa: E402
    check_alone,
    check_churn,
    check_comes_back,
    check_lost_in_a_reduction,
    check_master_restart,
    wait_for,
)

from hawser.torch import AsyncDiLoCo  # noqa: E402

H = 3


def make(comm: hawser.Communicator, toy: Toy, **options: Any) -> AsyncDiLoCo:
    return AsyncDiLoCo(toy.parameters, toy.sgd, comm, **{"sync_every": H, "alone_timeout_s": 30, **options})


@pytest.mark.parametrize("weights", [None, [3, 5]])
def test_follows_the_formula(master: hawser.Master, weights: list[int] | None) -> None:
    def body(comm: hawser.Communicator) -> tuple[list[bytes], list[bytes]]:
        rank = comm.rank
        toy = Toy(rank, start=rank)
        diloco = make(comm, toy, weight=weights and (lambda: weights[rank]))
        train(diloco, toy, 6 * H)
        tensors = diloco.state_dict()["tensors"]
        assert diloco.outer_steps == 5
        comm.barrier()
        return toy.values(), [tensors[f"outer/{i}"].numpy().tobytes() for i in range(3)]

    results = run_threads(master.address, 2, body)
    theta, group = delayed_reference(6, H, weights)
    assert results == [(bits(member.local), bits(theta)) for member in group]


def test_one_member_trains_as_without(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        toy, plain = Toy(0), Toy(0)
        diloco = make(comm, toy, outer_lr=1.0, outer_momentum=0.0, on_alone="continue")
        train(diloco, toy, 5 * H)
        train(plain.sgd, plain, 5 * H)
        assert toy.values() == plain.values() and diloco.outer_steps == 4


@pytest.mark.parametrize("steps", [3 * H, 3 * H + 2, H - 1])
def test_resume(master: hawser.Master, steps: int) -> None:
    def whole(comm: hawser.Communicator) -> tuple[dict[str, Any], list[bytes], str]:
        toy = Toy(comm.rank)
        diloco = make(comm, toy)
        train(diloco, toy, steps)
        saved = diloco.state_dict()
        train(diloco, toy, 2 * H)
        digest = diloco.digest()
        comm.barrier()
        return saved, toy.values(), digest

    def resumed(comm: hawser.Communicator) -> tuple[list[bytes], str]:
        toy = Toy(comm.rank, start=9)
        diloco = make(comm, toy, resume=results[comm.rank][0])
        train(diloco, toy, 2 * H)
        digest = diloco.digest()
        comm.barrier()
        return toy.values(), digest

    def loaded(comm: hawser.Communicator) -> tuple[list[bytes], str]:
        toy = Toy(comm.rank, start=9)
        diloco = make(comm, toy)
        train(diloco, toy, 2 * H)
        diloco.load_state_dict(results[comm.rank][0])
        train(diloco, toy, 2 * H)
        digest = diloco.digest()
        comm.barrier()
        return toy.values(), digest

    results = run_threads(master.address, 2, whole)
    for body in (resumed, loaded):
        with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
            assert run_threads(another.address, 2, body) == [(values, digest) for _, values, digest in results]


def test_a_newcomer_sees_what_was_under_way(master: hawser.Master) -> None:
    """Alone for three rounds, then together; NumPy follows both."""
    rounds_alone, rounds = 3, 4
    turned_up = threading.Event()
    values: dict[int, list[bytes]] = {}
    errors: list[BaseException] = []

    def first() -> None:
        try:
            with communicator(master.address) as comm:
                toy = Toy(0)
                diloco = make(comm, toy, on_alone="continue")
                train(diloco, toy, rounds_alone * H)
                turned_up.set()
                wait_for(lambda: comm.pending)
                train(diloco, toy, rounds * H)
                values[0] = toy.values()
                comm.barrier()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=first, daemon=True)
    thread.start()
    assert turned_up.wait(60)
    with communicator(master.address) as comm:
        toy = Toy(1, start=1)
        diloco = make(comm, toy)
        # Let in at the end of the first round that follows, after the step of what was under way.
        assert diloco.outer_steps == rounds_alone
        train(diloco, toy, (rounds - 1) * H)
        values[1] = toy.values()
        comm.barrier()
        thread.join(60)
    assert not errors

    outer = Outer(arrays(1000), 0.7, 0.9)
    group = [Delayed(0, outer.theta, H)]
    for number in range(rounds_alone + rounds):
        for member in group:
            member.window()
        if number == rounds_alone + 1:
            outer.step(average([group[0].delta]))  # the newcomer's weight is 0
        elif number:
            outer.step(average([member.delta for member in group]))
        for member in group:
            member.take(outer.theta)
        if number == rounds_alone:
            group.append(Delayed(1, outer.theta, H))
    assert values == {i: bits(member.local) for i, member in enumerate(group)}


@pytest.mark.soak
def test_a_member_dies_and_one_joins(master: hawser.Master) -> None:
    check_churn(master, make)


@pytest.mark.parametrize("on_alone", ["wait", pytest.param("continue", marks=pytest.mark.soak)])
def test_alone(master: hawser.Master, on_alone: str) -> None:
    check_alone(master, make, on_alone)


def test_the_master_is_restarted() -> None:
    check_master_restart(make)


def test_a_stopped_member_comes_back() -> None:
    check_comes_back(make)


def test_lost_in_a_reduction(master: hawser.Master) -> None:
    """The others reduce anew what they had kept, and NumPy does not see that there was a third."""
    rounds = 5
    results = check_lost_in_a_reduction(master, make, 3, rounds * H)
    _, group = delayed_reference(rounds, H)
    assert results == [bits(member.local) for member in group]
