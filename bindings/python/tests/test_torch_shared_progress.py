"""What newcomers share with the group: its step, its place in the data, and the script's own state."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
from peers import communicator, run_threads
from test_torch_rounds import KINDS

import hawser

torch = pytest.importorskip("torch")

from toy_training import Toy, train  # noqa: E402
from training_watch import wait_for  # noqa: E402

from hawser.torch import DataPlan, DiLoCo  # noqa: E402

H = 4


def make(kind: str, comm: hawser.Communicator, toy: Toy, **options: Any) -> Any:
    loop, own = KINDS[kind]
    return loop(toy.parameters, toy.sgd, comm, **{"sync_every": H, "alone_timeout_s": 50, **own, **options})


# ------------------------------------------------------------------------------------------------ the data plan


@pytest.mark.parametrize("samples", [1, 2, 3, 10, 64, 1000, 4097])
def test_an_epoch_has_each_sample_once(samples: int) -> None:
    plan = DataPlan(samples, batch=7, seed=3)
    seen = torch.cat([plan.batch(share) for share in range(samples)])
    for epoch in range(7):
        assert sorted(seen[epoch * samples : (epoch + 1) * samples].tolist()) == list(range(samples))


def test_orders_differ_by_epoch_and_seed() -> None:
    plan, other = DataPlan(1000, batch=1000, seed=1), DataPlan(1000, batch=1000, seed=2)
    first, second = plan.batch(0), plan.batch(1)
    assert not torch.equal(first, second) and not torch.equal(first, other.batch(0))
    assert plan.epoch(0) == 0 and plan.epoch(1) == 1
    # Neighbours go far from each other, as in a random order (333 apart in the mean).
    assert 280 < (first[1:] - first[:-1]).abs().double().mean() < 390
    assert 0 <= int(DataPlan(1 << 40, batch=4, seed=5).batch(1 << 33).min())


def test_an_order_is_the_same_everywhere() -> None:
    assert DataPlan(10, batch=10, seed=7).batch(0).tolist() == [6, 3, 1, 9, 7, 2, 5, 8, 0, 4]


def test_arguments() -> None:
    for samples, batch in ((0, 1), (1, 0), (1 << 41, 1)):
        with pytest.raises(ValueError):
            DataPlan(samples, batch=batch)
    with pytest.raises(ValueError):
        DataPlan(1, batch=1).batch(-1)


# ------------------------------------------------------------------------------------------------ step and shares


@pytest.mark.parametrize("kind", KINDS)
def test_each_share_is_given_once(master: hawser.Master, kind: str) -> None:
    steps = 3 * H

    def body(comm: hawser.Communicator) -> list[int]:
        toy, drawn = Toy(comm.rank), []
        loop = make(kind, comm, toy)
        for step in range(steps):
            assert loop.global_step == step
            drawn.append(loop.shares[0])
            assert len(loop.shares) == loop.sync_every - loop.local_steps
            train(loop, toy, 1)
        return drawn

    drawn = sum(run_threads(master.address, 3, body), [])
    assert sorted(drawn) == list(range(3 * steps))


@pytest.mark.parametrize("kind", ["DiLoCo", "AsyncDiLoCo", "StreamingDiLoCo"])
def test_shares_with_a_join_and_a_loss(master: hawser.Master, kind: str) -> None:
    """No share twice; each loss leaves out those of one round of one member at most, and so does each join."""
    drawn: dict[str, list[int]] = {"ada": [], "bob": [], "eve": []}
    begun: dict[str, int] = {}
    errors: list[BaseException] = []
    stops = {name: threading.Event() for name in drawn}

    def member(name: str, peers: int) -> None:
        try:
            with communicator(master.address, name=name, min_peers=peers) as comm:
                toy = Toy(len(drawn[name]))
                loop = make(kind, comm, toy, on_alone="continue")
                begun[name] = loop.global_step
                while not stops[name].is_set():
                    drawn[name].append(loop.shares[0])
                    train(loop, toy, 1)
                stopped[name] = loop.local_steps
        except BaseException as error:
            errors.append(error)

    stopped: dict[str, int] = {}
    threads = {name: threading.Thread(target=member, args=(name, 2), daemon=True) for name in ("ada", "bob")}
    threads["eve"] = threading.Thread(target=member, args=("eve", 0), daemon=True)
    for name in ("ada", "bob"):
        threads[name].start()
    wait_for(lambda: len(drawn["ada"]) > 3 * H or bool(errors))
    threads["eve"].start()
    wait_for(lambda: len(drawn["eve"]) > 3 * H or bool(errors))
    for name in ("bob", "eve", "ada"):
        stops[name].set()
        threads[name].join(60)
        mark = len(drawn["ada"])
        wait_for(lambda: name == "ada" or len(drawn["ada"]) > mark + 3 * H or bool(errors))
    assert not errors and begun["ada"] == 0 and begun["eve"] >= 3 * H and begun["eve"] % H == 0
    every = sum(drawn.values(), [])
    assert len(every) == len(set(every)), "a share was given twice"
    # Up to the last complete round; two losses and one join.
    whole = max(drawn["ada"][: len(drawn["ada"]) // H * H])
    missing = set(range(whole)) - set(every)
    assert len(missing) <= 3 * H


def test_a_checkpoint_has_step_and_place(master: hawser.Master) -> None:
    def whole(comm: hawser.Communicator) -> Any:
        toy = Toy(comm.rank)
        loop = make("DiLoCo", comm, toy)
        train(loop, toy, 2 * H)
        return copy.deepcopy(loop.state_dict())

    def resumed(comm: hawser.Communicator) -> tuple[int, int]:
        loop = make("DiLoCo", comm, Toy(comm.rank), resume=saved[comm.rank])
        step_and_share = loop.global_step, loop.shares[0] - comm.rank
        comm.barrier()  # who leaves changes the ranks of the others
        return step_and_share

    saved = run_threads(master.address, 2, whole)
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
        assert run_threads(another.address, 2, resumed) == [(2 * H, 4 * H)] * 2


# ------------------------------------------------------------------------------------------------ the script's state


def scheduler_of(toy: Toy) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(toy.sgd, T_max=1000)


@pytest.mark.parametrize("kind", ["DiLoCo", "AsyncDiLoCo", "StreamingDiLoCo"])
def test_a_newcomer_takes_the_state_of_the_script(master: hawser.Master, kind: str) -> None:
    errors: list[BaseException] = []
    stop = threading.Event()
    rounds = [0]

    def state(toy: Toy) -> tuple[dict[str, Any], Any]:
        own = {
            "schedule": scheduler_of(toy),
            "order": torch.Generator().manual_seed(1),
            "place": torch.zeros(2, dtype=torch.int32),
        }
        return own, own["schedule"]

    def member(number: int) -> None:
        try:
            with communicator(master.address, min_peers=2) as comm:
                toy = Toy(number)
                own, schedule = state(toy)
                loop = make(kind, comm, toy, user_state=own, on_alone="continue")
                while not stop.is_set() or loop.local_steps:
                    schedule.step()
                    torch.rand(1, generator=own["order"])
                    own["place"] += 1
                    train(loop, toy, 1)
                    rounds[0] = max(rounds[0], loop.global_step // H)
                comm.close()
        except hawser.Closed:
            pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=member, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: rounds[0] >= 2 or bool(errors))
    with communicator(master.address) as comm:
        toy = Toy(2)
        own, schedule = state(toy)
        loop = make(kind, comm, toy, user_state=own)
        step = loop.global_step
        assert step >= 2 * H and own["place"].tolist() == [step, step]
        assert schedule.last_epoch == step and 0 < toy.sgd.param_groups[0]["lr"] < 0.125
        assert toy.sgd.param_groups[0]["lr"] == schedule.get_last_lr()[0]
        expected = torch.Generator().manual_seed(1)
        for _ in range(step):
            torch.rand(1, generator=expected)
        assert torch.equal(torch.rand(1, generator=own["order"]), torch.rand(1, generator=expected))
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not errors


def test_a_checkpoint_has_the_state_of_the_script(master: hawser.Master) -> None:
    def run(comm: hawser.Communicator, resume: Any) -> Any:
        toy = Toy(0)
        place = torch.zeros(1, dtype=torch.bool)
        schedule = scheduler_of(toy)
        loop = make("DiLoCo", comm, toy, on_alone="continue", resume=resume, user_state={"s": schedule, "p": place})
        return loop, toy, schedule, place

    with communicator(master.address) as comm:
        loop, toy, schedule, place = run(comm, None)
        schedule.step()
        place[0] = True
        train(loop, toy, H + 1)
        schedule.step()
        saved = copy.deepcopy(loop.state_dict())
    with communicator(master.address) as comm:
        loop, toy, schedule, place = run(comm, saved)
        assert schedule.last_epoch == 2 and place.item() and loop.global_step == H + 1


def test_a_state_that_can_t_be_shared(master: hawser.Master) -> None:
    class Large:
        def state_dict(self) -> Any:
            return {"a": torch.rand(100_000)}

        def load_state_dict(self, state: Any) -> None: ...

    with communicator(master.address) as comm:
        with pytest.raises(TypeError, match="step of user_state is a int"):
            make("DiLoCo", comm, Toy(0), user_state={"step": 3})
        with pytest.raises(ValueError, match="large of user_state takes 40"):
            make("DiLoCo", comm, Toy(0), user_state={"large": Large()})


def test_other_user_state_is_refused(master: hawser.Master) -> None:
    refused: list[str] = []

    def newcomer() -> None:
        with communicator(master.address) as comm:
            with pytest.raises(hawser.Refused, match="model is"):
                make("DiLoCo", comm, Toy(1))
            refused.append("model")

    with communicator(master.address) as comm:
        toy = Toy(0)
        loop: DiLoCo = make("DiLoCo", comm, toy, on_alone="continue", user_state={"place": torch.zeros(1)})
        thread = threading.Thread(target=newcomer)
        thread.start()
        while thread.is_alive():
            train(loop, toy, 1)
    assert refused == ["model"]
