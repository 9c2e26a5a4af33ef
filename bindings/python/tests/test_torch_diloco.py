from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest
from peers import communicator, joined, run_threads

import hawser
from hawser import Plan, Quantization, QuantizedType

torch = pytest.importorskip("torch")

from toy_training import Toy, bits, diloco_reference, train  # noqa: E402
from training_watch import (  # noqa: E402
    check_alone,
    check_churn,
    check_comes_back,
    check_lost_in_a_reduction,
    check_master_restart,
    wait_for,
)

from hawser.torch import DiLoCo  # noqa: E402

H = 3


def make(comm: hawser.Communicator, toy: Toy, **options: Any) -> DiLoCo:
    return DiLoCo(toy.parameters, toy.sgd, comm, **{"sync_every": H, "alone_timeout_s": 30, **options})


@pytest.mark.parametrize("weights", [None, [3, 5]])
def test_follows_the_formula(master: hawser.Master, weights: list[int] | None) -> None:
    def body(comm: hawser.Communicator) -> tuple[list[bytes], str]:
        rank = comm.rank
        toy = Toy(rank, start=rank)  # the first one's parameters become everybody's
        diloco = make(comm, toy, weight=weights and (lambda: weights[rank]))
        train(diloco, toy, 4 * H + 1)
        assert diloco.outer_steps == 4 and diloco.local_steps == 1
        digest = diloco.digest()
        train(diloco, toy, H - 1)
        return toy.values(), digest

    (first, digest), (second, other) = run_threads(master.address, 2, body)
    assert first == second == bits(diloco_reference(5, H, weights)) and digest == other


def data_parallel(comm: hawser.Communicator, model: Any, batches: Any, rate: float) -> None:
    """The plain loop, its step written out in NumPy."""
    for inputs, labels in batches:
        model.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), labels).backward()
        gradients = [parameter.grad.numpy() for parameter in model.parameters()]
        comm.all_reduce_many(gradients, op=hawser.ReduceOp.AVG, plan=Plan.RING)
        for parameter, gradient in zip(model.parameters(), gradients):
            values = parameter.detach().numpy()
            values -= np.float32(rate) * gradient


def test_every_step_is_data_parallel(master: hawser.Master) -> None:
    rate = 0.013

    def body(comm: hawser.Communicator) -> bool:
        generator = torch.Generator().manual_seed(comm.rank)
        batches = [
            (torch.randn(8, 6, generator=generator), torch.randn(8, 3, generator=generator)) for _ in range(10)
        ]
        models = []
        for _ in range(2):
            model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
            start = torch.Generator().manual_seed(5)
            for parameter in model.parameters():
                parameter.data.copy_(torch.randn(parameter.shape, generator=start) * 0.3)
            models.append(model)
        ours, plain = models
        data_parallel(comm, plain, batches, rate)
        sgd = torch.optim.SGD(ours.parameters(), lr=rate)
        diloco = DiLoCo(
            ours.named_parameters(), sgd, comm, sync_every=1, outer_lr=1.0, outer_momentum=0.0, plan=Plan.RING
        )
        for inputs, labels in batches:
            diloco.zero_grad()
            torch.nn.functional.mse_loss(ours(inputs), labels).backward()
            assert diloco.step()
        return all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters()))

    assert run_threads(master.address, 3, body) == [True] * 3


def test_bfloat16_and_float64(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> tuple[str, list[bytes]]:
        toy = Toy(comm.rank, dtype=torch.bfloat16)
        wide = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
        transposed = torch.nn.Parameter(torch.ones(3, 2).t())
        assert not transposed.is_contiguous()
        toy.parameters += [wide, transposed]
        toy.targets += [torch.full((4,), float(comm.rank)), torch.full((2, 3), float(comm.rank))]
        sgd = torch.optim.SGD(toy.parameters, lr=0.125)
        diloco = DiLoCo(toy.parameters, sgd, comm, sync_every=2)
        train(diloco, toy, 6)
        outer = diloco.state_dict()["tensors"]
        assert outer["outer/0"].dtype == torch.float32 and outer["outer/3"].dtype == torch.float64
        assert torch.equal(outer["outer/0"].bfloat16().view(5, 7), toy.parameters[0].detach())
        assert not torch.equal(outer["outer/0"].bfloat16().float(), outer["outer/0"])
        assert torch.equal(outer["outer/4"].view(2, 3), transposed.detach()) and (transposed < 1).all()
        return diloco.digest(), toy.values()

    first, second = run_threads(master.address, 2, body)
    assert first == second


@pytest.mark.parametrize(
    "options",
    [
        {"quantization": Quantization.min_max()},
        {"quantization": Quantization.blockwise(QuantizedType.INT4, block=64), "error_feedback": True},
    ],
)
def test_quantised(master: hawser.Master, options: dict[str, Any]) -> None:
    def body(comm: hawser.Communicator) -> tuple[str, list[bytes]]:
        toy = Toy(comm.rank)
        diloco = make(comm, toy, **options)
        train(diloco, toy, 5 * H)
        assert bool(diloco.error_norms) == ("error_feedback" in options)
        assert all(norm > 0 for norm in diloco.error_norms)
        return diloco.digest(), toy.values()

    first, second, third = run_threads(master.address, 3, body)
    assert first == second == third


@pytest.mark.parametrize("at_construction", [True, False])
@pytest.mark.parametrize("steps", [2 * H, 2 * H + 1])
def test_resume(master: hawser.Master, steps: int, at_construction: bool) -> None:
    def adam(toy: Toy) -> Any:
        return torch.optim.Adam(toy.parameters, lr=0.01)

    def whole(comm: hawser.Communicator) -> tuple[dict[str, Any], list[bytes], str]:
        toy = Toy(comm.rank)
        diloco = DiLoCo(toy.parameters, adam(toy), comm, sync_every=H)
        train(diloco, toy, steps)
        saved = diloco.state_dict()
        saved = copy.deepcopy(saved)  # torch's own state dictionaries are views
        train(diloco, toy, 2 * H)
        return saved, toy.values(), diloco.digest()

    def resumed(comm: hawser.Communicator) -> tuple[list[bytes], str]:
        toy = Toy(comm.rank, start=9)
        checkpoint = results[comm.rank][0]
        resume = checkpoint if at_construction else None
        diloco = DiLoCo(toy.parameters, adam(toy), comm, sync_every=H, resume=resume)
        if not at_construction:
            train(diloco, toy, H)
            diloco.load_state_dict(checkpoint)
        assert diloco.outer_steps == 2 and diloco.local_steps == steps - 2 * H
        train(diloco, toy, 2 * H)
        return toy.values(), diloco.digest()

    results = run_threads(master.address, 2, whole)
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
        assert run_threads(another.address, 2, resumed) == [(values, digest) for _, values, digest in results]


def test_the_newest_checkpoint_counts(master: hawser.Master) -> None:
    def whole(comm: hawser.Communicator) -> list[dict[str, Any]]:
        toy = Toy(comm.rank)
        diloco = make(comm, toy)
        train(diloco, toy, H)
        early = diloco.state_dict()
        train(diloco, toy, H)
        return [early, diloco.state_dict()]

    def resumed(comm: hawser.Communicator) -> tuple[list[bytes], str]:
        toy = Toy(comm.rank)
        diloco = make(comm, toy, resume=saved[comm.rank][comm.rank])
        assert diloco.outer_steps == 2
        return toy.values(), diloco.digest()

    saved = run_threads(master.address, 2, whole)
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
        first, second = run_threads(another.address, 2, resumed)
    assert first == second


@pytest.mark.parametrize("is_ahead", [False, True])
def test_a_resume_that_the_group_does_not_take(
    master: hawser.Master, is_ahead: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is older, or of another run, which has counted otherwise."""
    refused: list[str] = []

    def newcomer() -> None:
        with communicator(master.address) as comm:
            if not is_ahead:
                assert make(comm, Toy(7), resume=checkpoint).outer_steps >= 3
                return
            with pytest.raises(RuntimeError, match="of outer step 1000000000.*min_peers") as caught:
                make(comm, Toy(7), resume=checkpoint)
            with pytest.raises(hawser.Closed):
                comm.update_topology()
            refused.append(str(caught.value))

    with communicator(master.address) as comm:
        toy = Toy(0)
        diloco = make(comm, toy, on_alone="continue")
        train(diloco, toy, H)
        checkpoint = copy.deepcopy(diloco.state_dict())
        if is_ahead:
            checkpoint.update(outer_steps=10**9, revision=0)
        train(diloco, toy, 2 * H)
        thread = threading.Thread(target=newcomer)
        thread.start()
        while thread.is_alive():
            train(diloco, toy, 1)
    assert len(refused) == is_ahead
    assert is_ahead or "its state was taken instead" in caplog.text


@pytest.mark.parametrize("is_connected", [False, True])
def test_settings_differ(master: hawser.Master, is_connected: bool) -> None:
    refused: list[str] = []

    def newcomer() -> None:
        with communicator(master.address) as comm:
            toy = Toy(1)
            if is_connected:
                comm.connect()
            with pytest.raises((hawser.Refused, hawser.InvalidArgument)) as caught:
                diloco = make(comm, toy, sync_every=H + 1)
                train(diloco, toy, H + 1)
            assert isinstance(caught.value, hawser.InvalidArgument if is_connected else hawser.Refused)
            refused.append(str(caught.value))

    with communicator(master.address) as comm:
        toy = Toy(0)
        if is_connected:
            comm.connect()
        diloco = make(comm, toy, on_alone="continue")
        train(diloco, toy, H)
        thread = threading.Thread(target=newcomer)
        thread.start()
        while thread.is_alive():
            train(diloco, toy, 1)
        assert "sync_every" in refused[0] and str(H) in refused[0] and str(H + 1) in refused[0]
        train(diloco, toy, 2 * H)
        assert comm.group_size == 1


# --------------------------------------------------------------------------------------------------------- churn


def make_every_step(comm: hawser.Communicator, toy: Toy, **options: Any) -> DiLoCo:
    return make(comm, toy, sync_every=1, outer_momentum=0.0, **options)


@pytest.mark.parametrize("maker", [make, pytest.param(make_every_step, marks=pytest.mark.soak)])
def test_a_member_dies_and_one_joins(master: hawser.Master, maker: Any) -> None:
    check_churn(master, maker)


def test_the_master_is_restarted() -> None:
    check_master_restart(make)


def test_a_stopped_member_comes_back() -> None:
    check_comes_back(make)


def test_a_newcomer_prefetches(master: hawser.Master) -> None:
    """The others pause in mid round until it has fetched everything and waits at the door."""
    mid_round = threading.Barrier(3)
    errors: list[BaseException] = []
    digests: list[str] = []

    def first(number: int) -> None:
        try:
            with communicator(master.address, min_peers=2) as comm:
                toy = Toy(number)
                diloco = make(comm, toy)
                train(diloco, toy, 2 * H + 1)
                mid_round.wait(60)
                wait_for(lambda: comm.pending)
                train(diloco, toy, 2 * H - 1)
                digests.append(diloco.digest())
                comm.barrier()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=first, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    mid_round.wait(60)
    with communicator(master.address) as comm:
        toy = Toy(2, start=2)
        diloco = make(comm, toy)
        prefetched = diloco.prefetched
        assert prefetched and prefetched.complete and prefetched.revision == 2
        # It had no part in the third reduction, but made its step.
        assert diloco.outer_steps == 3 and diloco.local_steps == 0
        train(diloco, toy, H)
        digests.append(diloco.digest())
        comm.barrier()
        for thread in threads:
            thread.join(60)
    assert not errors
    assert len(digests) == 3 and len(set(digests)) == 1


@pytest.mark.parametrize("on_alone", ["wait", "continue"])
def test_alone(master: hawser.Master, on_alone: str) -> None:
    check_alone(master, make, on_alone)


def test_lost_in_a_reduction(master: hawser.Master) -> None:
    rounds = 4
    results = check_lost_in_a_reduction(master, make, 2, rounds * H)
    assert results == [bits(diloco_reference(rounds, H))] * 2


def test_arguments(master: hawser.Master) -> None:
    toy = Toy(0)
    with communicator(master.address) as comm:
        with pytest.raises(ValueError):
            make(comm, toy, sync_every=0)
        with pytest.raises(ValueError):
            make(comm, toy, on_alone="panic")
        with pytest.raises(ValueError):
            make(comm, toy, error_feedback=True)
        with pytest.raises(ValueError):
            DiLoCo([], toy.sgd, comm, sync_every=1)
        with pytest.raises(RuntimeError, match="nobody else came"):
            make(comm, toy, alone_timeout_s=0.1)
