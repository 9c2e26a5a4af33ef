"""NaN and infinity at one member: left out and named, and never in what the group agrees on."""

from __future__ import annotations

import copy
import math
import random
import threading
from typing import Any

import pytest
from peers import communicator, gather, run_threads

import hawser

torch = pytest.importorskip("torch")

from toy_training import Toy, bits, diloco_reference, train  # noqa: E402

from hawser.torch import AsyncDiLoCo, DataParallel, DiLoCo, StreamingDiLoCo  # noqa: E402
from hawser.torch.roll_call import Part, RollCall  # noqa: E402

H = 4
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "DiLoCo": (DiLoCo, {}),
    "gradients": (DiLoCo, {"sync_every": 1, "outer_momentum": 0.0}),
    "AsyncDiLoCo": (AsyncDiLoCo, {}),
    "StreamingDiLoCo": (StreamingDiLoCo, {"fragments": 2, "overlap": 1}),
}


def make(kind: str, comm: hawser.Communicator, toy: Toy, **options: Any) -> Any:
    loop, own = KINDS[kind]
    return loop(toy.parameters, toy.sgd, comm, **{"sync_every": H, "alone_timeout_s": 30, **own, **options})


def spoil(toy: Toy, value: float = math.nan) -> None:
    """As a bad step does: in a weight, and in what gradients are made of."""
    with torch.no_grad():
        toy.parameters[-1].view(-1)[3] = value


def finite(loop: Any) -> bool:
    return all(bool(torch.isfinite(each).all()) for each in loop.outer_parameters().values())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_one_member_is_left_out(
    master: hawser.Master, kind: str, value: float, caplog: pytest.LogCaptureFixture
) -> None:
    def body(comm: hawser.Communicator) -> tuple[str, list[bytes], int]:
        member, toy = comm.rank, Toy(comm.rank)
        loop = make(kind, comm, toy, weight=lambda: 10 ** comm.rank)
        train(loop, toy, 2 * H)
        if member == 1:
            spoil(toy, value)
            if kind == "gradients":
                toy.targets[0].view(-1)[0] = value
        before = loop.total_weight
        train(loop, toy, 1 if kind == "gradients" else H)
        if kind == "gradients":
            toy.targets[0].nan_to_num_(0.0, 0.0, 0.0)
        if kind == "AsyncDiLoCo":
            before = loop.total_weight
            train(loop, toy, H)
        counted = loop.total_weight - before
        train(loop, toy, 3 * H)
        assert finite(loop) and all(bool(torch.isfinite(each).all()) for each in toy.parameters)
        loop.state_dict()
        return loop.digest(), [] if kind == "AsyncDiLoCo" else toy.values(), counted

    run = run_threads(master.address, 3, body)
    assert len({digest for digest, _, _ in run}) == 1
    if kind in ("DiLoCo", "AsyncDiLoCo"):
        assert [counted for _, _, counted in run] == [1 + 100] * 3
    if kind == "gradients":
        assert [counted for _, _, counted in run] == [1 + 100] * 3
    said = [record.getMessage() for record in caplog.records if "is made without" in record.getMessage()]
    assert len(said) >= 3


def test_the_others_are_as_if_it_had_not_been_there(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> list[bytes]:
        toy = Toy(comm.rank)
        diloco = make("DiLoCo", comm, toy, sync_every=3)
        for _ in range(3):
            train(diloco, toy, 2)
            if comm.rank == 2:
                spoil(toy)
            train(diloco, toy, 1)
        return toy.values()

    assert run_threads(master.address, 3, body) == [bits(diloco_reference(3, 3))] * 3


def test_names_are_in_the_log(master: hawser.Master, caplog: pytest.LogCaptureFixture) -> None:
    def peer(name: str) -> None:
        with communicator(master.address, name=name) as comm:
            comm.connect()
            gather(comm, 2)
            toy = Toy(0)
            diloco = make("DiLoCo", comm, toy)
            train(diloco, toy, H)
            if name == "ada":
                spoil(toy)
            train(diloco, toy, H)

    threads = [threading.Thread(target=peer, args=(name,)) for name in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    said = [record.getMessage() for record in caplog.records]
    assert sum("outer step 2 is made without ada" in each for each in said) == 2
    assert sum("not finite in 2: it is left out" in each for each in said) == 1


def test_the_inner_optimizer_is_mended(master: hawser.Master) -> None:
    """Momentum that is NaN would spoil every round."""

    def body(comm: hawser.Communicator) -> int:
        toy = Toy(comm.rank)
        inner = torch.optim.AdamW(toy.parameters, lr=0.01)
        diloco = DiLoCo(toy.parameters, inner, comm, sync_every=H)
        train(diloco, toy, H + 1)
        if comm.rank == 1:
            toy.targets[0].view(-1)[0] = math.nan
            train(diloco, toy, 1)
            toy.targets[0].view(-1)[0] = 0.0
            train(diloco, toy, H - 2)
        else:
            train(diloco, toy, H - 1)
        assert diloco.total_weight == 3
        train(diloco, toy, H)
        return diloco.total_weight

    assert run_threads(master.address, 2, body) == [5, 5]


@pytest.mark.parametrize("kind", ["DiLoCo", "AsyncDiLoCo", "StreamingDiLoCo"])
def test_raise(master: hawser.Master, kind: str) -> None:
    def body(comm: hawser.Communicator) -> str:
        toy, member = Toy(comm.rank), comm.rank
        loop = make(kind, comm, toy, on_bad="raise", on_alone="continue")
        train(loop, toy, H)
        if member:
            spoil(toy)
            with pytest.raises(FloatingPointError, match="not finite in 2"):
                train(loop, toy, H)
            comm.close()
            return ""
        train(loop, toy, 2 * H)
        assert finite(loop)
        return "went on"

    assert run_threads(master.address, 2, body) == ["went on", ""]


@pytest.mark.parametrize("kind", ["DiLoCo", "AsyncDiLoCo", "StreamingDiLoCo"])
def test_an_average_that_is_not_finite_is_dropped(
    master: hawser.Master, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def body(comm: hawser.Communicator) -> str:
        toy, member = Toy(comm.rank), comm.rank
        loop = make(kind, comm, toy, on_bad="take")
        train(loop, toy, H)
        if member:
            spoil(toy)
        train(loop, toy, H)
        assert finite(loop)
        loop.state_dict()
        return str(loop.digest())

    first, second = run_threads(master.address, 2, body)
    assert first == second
    assert "is not finite: it is dropped" in caplog.text or kind == "AsyncDiLoCo"


def test_nothing_but_bad_numbers_is_an_error(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> int:
        toy = Toy(comm.rank)
        diloco = make("DiLoCo", comm, toy)
        train(diloco, toy, H)
        toy.targets[0].view(-1)[0] = math.nan
        with pytest.raises(FloatingPointError, match="4 reductions in a row.*left out"):
            train(diloco, toy, 10 * H)
        assert finite(diloco)
        return int(diloco.outer_steps)

    assert run_threads(master.address, 2, body) == [1, 1]


def test_a_run_does_not_begin_with_bad_numbers(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        toy = Toy(0)
        spoil(toy)
        with pytest.raises(FloatingPointError, match="not finite in 2"):
            make("DiLoCo", comm, toy, on_alone="continue")


def test_a_checkpoint_with_bad_numbers_is_refused(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        toy = Toy(0)
        diloco = make("DiLoCo", comm, toy, on_alone="continue")
        train(diloco, toy, H)
        saved = copy.deepcopy(diloco.state_dict())
    saved["tensors"]["outer/1"][0] = math.nan
    with communicator(master.address) as comm:
        with pytest.raises(FloatingPointError, match="not finite in 1"):
            make("DiLoCo", comm, Toy(0), on_alone="continue", resume=saved)


# ------------------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_gradients_are_left_out(master: hawser.Master, dtype: Any, caplog: pytest.LogCaptureFixture) -> None:
    def body(comm: hawser.Communicator) -> list[list[float]]:
        parameters = [torch.nn.Parameter(torch.ones(4, dtype=dtype)), torch.nn.Parameter(torch.ones(2))]
        parallel = DataParallel(parameters, comm, bucket_bytes=16)
        steps = []
        for bad in (False, True, False):
            factor = math.nan if bad and comm.rank == 2 else float(comm.rank + 1)
            (parameters[0].sum() * factor + parameters[1].sum() * (comm.rank + 1)).backward()
            parallel.finish()
            steps.append([parameters[0].grad[0].item(), parameters[1].grad[0].item()])
            for each in parameters:
                each.grad = None
        parallel.close()
        comm.barrier()
        return steps

    assert run_threads(master.address, 3, body) == [[[2.0, 2.0], [1.5, 2.0], [2.0, 2.0]]] * 3
    assert caplog.text.count("are not finite: they are left out of the average of 1 of 2 buckets") == 3


def test_gradients_of_nobody_are_zeros(master: hawser.Master, caplog: pytest.LogCaptureFixture) -> None:
    def body(comm: hawser.Communicator) -> list[float]:
        parameter = torch.nn.Parameter(torch.ones(4))
        parallel = DataParallel([parameter], comm)
        (parameter.sum() * math.inf).backward()
        parallel.finish()
        parallel.close()
        comm.barrier()
        return list(parameter.grad.tolist())

    assert run_threads(master.address, 2, body) == [[0.0] * 4] * 2
    assert "they are zeros" in caplog.text


def test_gradients_raise_and_are_taken(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> str:
        parameter = torch.nn.Parameter(torch.ones(4))
        parallel = DataParallel([("layer.weight", parameter)], comm, on_bad="raise" if comm.rank else "take")
        (parameter.sum() * math.nan).backward()
        if comm.rank == 0:
            with pytest.raises(hawser.HawserError):
                while comm.group_size > 1:
                    parallel.finish()
                parallel.finish()
            return ""
        with pytest.raises(FloatingPointError, match="layer.weight") as caught:
            parallel.finish()
        comm.close()
        return str(caught.value)

    assert "on_bad" in run_threads(master.address, 2, body)[1]


def test_roll_call() -> None:
    own, total = torch.zeros(RollCall.NUMBERS, dtype=torch.int64), torch.zeros(RollCall.NUMBERS, dtype=torch.int64)
    roll = RollCall(own, total)
    # dan and eve share a slot of one table, fay and gil of both, hal and ada of the other one.
    ids = {"ada": 1, "bob": 2, "dan": 300, "eve": 172, "fay": 5, "gil": 5 + (1 << 14), "hal": 4, "absent": 3}
    parts = {"ada": Part.COUNTS, "bob": Part.LEFT_OUT, "dan": Part.IDLE, "eve": Part.COUNTS, "hal": Part.COUNTS}
    parts |= {"fay": Part.COUNTS, "gil": Part.LEFT_OUT}
    for name, part in parts.items():
        roll.sign(ids[name], part)
        total += own
    roll.sign(9, Part.COUNTS)
    total += own
    present = roll.read({peer_id: name for name, peer_id in ids.items()})
    assert sorted(present.counted) == ["ada", "an unknown member", "eve", "fay or gil", "hal"]
    assert sorted(present.left_out) == ["bob", "fay or gil"] and present.idle == ["dan"]
    assert roll.members == 8


def test_roll_call_of_random_ids() -> None:
    """Whoever took part is named; two names in one place are rare."""
    draw = random.Random(7)
    doubts = 0
    for _ in range(300):
        ids = {draw.getrandbits(64): f"m{i}" for i in range(8)}
        own, total = torch.zeros(RollCall.NUMBERS, dtype=torch.int64), torch.zeros(RollCall.NUMBERS, dtype=torch.int64)
        roll = RollCall(own, total)
        bad = set(draw.sample(sorted(ids), 2))
        for peer_id in ids:
            roll.sign(peer_id, Part.LEFT_OUT if peer_id in bad else Part.COUNTS)
            total += own
        present = roll.read(ids)
        doubts += sum(" or " in name for name in (*present.counted, *present.left_out))
        named = {name for each in present.left_out for name in each.split(" or ")}
        assert roll.members == 8 and named >= {ids[peer_id] for peer_id in bad}
    assert doubts < 10
