from __future__ import annotations

from typing import Any

import pytest
from peers import communicator, run_threads

import hawser
from hawser import Quantization, QuantizedType

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
from toy_training import Outer, Toy, arrays, average, bits, inner_steps, train  # noqa: E402
from training_watch import check_alone, check_churn, check_comes_back, check_master_restart  # noqa: E402

from hawser.torch import StreamingDiLoCo  # noqa: E402

H, FRAGMENTS = 7, 2


def fragment_of(name: str) -> int:
    return 1 if name == "1" else 0


def make(comm: hawser.Communicator, toy: Toy, **options: Any) -> StreamingDiLoCo:
    fixed = {"sync_every": H, "fragments": FRAGMENTS, "fragment_of": fragment_of, "overlap": 2, "alone_timeout_s": 30}
    return StreamingDiLoCo(toy.parameters, toy.sgd, comm, **{**fixed, **options})


@pytest.mark.parametrize(("overlap", "alpha"), [(2, 0.5), (0, 0.0), (1, 0.3), (2, 1.0)])
def test_follows_the_formula(master: hawser.Master, overlap: int, alpha: float) -> None:
    steps = 3 * H + 5

    def body(comm: hawser.Communicator) -> list[bytes]:
        toy = Toy(comm.rank, start=comm.rank)
        diloco = make(comm, toy, overlap=overlap, alpha=alpha)
        train(diloco, toy, steps)
        assert diloco.outer_steps == 7
        comm.barrier()
        return toy.values()

    results = run_threads(master.address, 2, body)
    outers = [Outer([a], 0.7, 0.9) for a in arrays(1000)]
    local = [arrays(1000) for _ in range(2)]
    deltas: dict[int, list[Any]] = {}
    for step in range(1, steps + 1):
        local = [inner_steps(local[i], arrays(i), 1) for i in range(2)]
        for index in range(FRAGMENTS):
            due = (index + 1) * H // FRAGMENTS
            own = [p for p in range(3) if fragment_of(str(p)) == index]
            if (step - 1) % H + 1 == due - overlap:
                for p in own:
                    deltas[p] = [[outers[p].theta[0] - local[i][p]] for i in range(2)]
            if (step - 1) % H + 1 == due:
                for p in own:
                    outers[p].step(average(deltas.pop(p)))
                    for i in range(2):
                        theta = outers[p].theta[0]
                        mixed = np.float32(alpha) * local[i][p] + np.float32(1 - alpha) * theta
                        local[i][p] = theta if alpha == 0 else local[i][p] if alpha == 1 else mixed
    assert results == [bits(each) for each in local]


@pytest.mark.parametrize(
    "quantization", [Quantization.min_max(), Quantization.blockwise(QuantizedType.INT4, block=64)]
)
@pytest.mark.parametrize("error_feedback", [False, True])
def test_quantised(master: hawser.Master, quantization: Quantization, error_feedback: bool) -> None:
    def body(comm: hawser.Communicator) -> tuple[str, float]:
        toy = Toy(comm.rank)
        diloco = make(comm, toy, quantization=quantization, error_feedback=error_feedback)
        train(diloco, toy, 5 * H)
        assert len(diloco.error_norms) == (FRAGMENTS if error_feedback else 0)
        return diloco.digest(), sum(diloco.error_norms)

    results = run_threads(master.address, 3, body)
    assert len({digest for digest, _ in results}) == 1
    assert all((norm > 0) == error_feedback for _, norm in results)


@pytest.mark.parametrize("steps", [2 * H, 2 * H + 2, 2 * H + 4, 1])
def test_resume(master: hawser.Master, steps: int) -> None:
    """Also while a fragment is under way (2)."""

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
        train(diloco, toy, H + 2)
        diloco.load_state_dict(results[comm.rank][0])
        train(diloco, toy, 2 * H)
        digest = diloco.digest()
        comm.barrier()
        return toy.values(), digest

    results = run_threads(master.address, 2, whole)
    for body in (resumed, loaded):
        with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
            assert run_threads(another.address, 2, body) == [(values, digest) for _, values, digest in results]


def test_a_member_dies_and_one_joins(master: hawser.Master) -> None:
    check_churn(master, make)


@pytest.mark.parametrize("on_alone", ["wait", pytest.param("continue", marks=pytest.mark.soak)])
def test_alone(master: hawser.Master, on_alone: str) -> None:
    check_alone(master, make, on_alone)


def test_the_master_is_restarted() -> None:
    check_master_restart(make)


def test_a_stopped_member_comes_back() -> None:
    check_comes_back(make)


def test_arguments(master: hawser.Master) -> None:
    toy = Toy(0)
    with communicator(master.address) as comm:
        for wrong in (
            {"overlap": 3},
            {"alpha": 1.5},
            {"fragments": 0},
            {"fragments": 8},
            {"fragments": 3, "overlap": 0},
            {"fragment_of": lambda name: 2},
        ):
            with pytest.raises(ValueError):
                make(comm, toy, **wrong)
