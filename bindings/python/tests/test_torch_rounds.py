"""What a member can ask about its last outer step, and how a group waits while it is too small."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from peers import communicator, run_threads

import hawser

torch = pytest.importorskip("torch")

from toy_training import Toy, train  # noqa: E402
from training_watch import wait_for  # noqa: E402

from hawser.torch import AsyncDiLoCo, DiLoCo, StreamingDiLoCo  # noqa: E402

H = 2
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "DiLoCo": (DiLoCo, {}),
    "gradients": (DiLoCo, {"sync_every": 1, "outer_momentum": 0.0}),
    "AsyncDiLoCo": (AsyncDiLoCo, {}),
    "StreamingDiLoCo": (StreamingDiLoCo, {"fragments": 2}),
}


def make(kind: str, comm: hawser.Communicator, toy: Toy, **options: Any) -> Any:
    loop, own = KINDS[kind]
    return loop(toy.parameters, toy.sgd, comm, **{"sync_every": H, "alone_timeout_s": 50, **own, **options})


class Member:
    """A named member in a thread, which trains until it is told to leave."""

    def __init__(self, master: hawser.Master, name: str, kind: str = "DiLoCo", peers: int = 0, **options: Any) -> None:
        self.rounds: list[Any] = []
        self.digests: dict[int, str] = {}
        self.error: BaseException | None = None
        self._leaves = threading.Event()
        self._body = (name, kind, options)
        self._comm = communicator(master.address, name=name, min_peers=peers)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        name, kind, options = self._body
        try:
            with self._comm as comm:
                toy = Toy(len(name))
                loop = make(kind, comm, toy, **options)
                while not self._leaves.is_set():
                    train(loop, toy, 1)
                    last: Any = loop.last_round
                    if last is not None and (not self.rounds or last is not self.rounds[-1]):
                        self.rounds.append(last)
                        self.digests[last.outer_steps] = loop.digest()
        except BaseException as error:
            if not (self._leaves.is_set() and isinstance(error, hawser.Closed)):
                self.error = error

    def until(self, fits: Callable[[], bool]) -> None:
        def holds() -> bool:
            assert self.error is None, self.error
            return fits()

        wait_for(holds)

    def leave(self) -> None:
        self._leaves.set()
        self._thread.join(60)
        assert not self._thread.is_alive() and self.error is None, self.error

    def stop(self) -> None:
        """Wherever it is, also if it waits for others."""
        self._leaves.set()
        self._comm.close()
        self.leave()


@pytest.mark.parametrize("kind", KINDS)
def test_last_round(master: hawser.Master, kind: str) -> None:
    def body(comm: hawser.Communicator) -> Any:
        toy = Toy(comm.rank)
        names = [member.name for member in comm.members]
        loop = make(kind, comm, toy, weight=lambda: (3, 0)[comm.rank], plan="ring")
        assert loop.last_round is None
        train(loop, toy, 4 * H)
        last: Any = loop.last_round
        assert last.made_step and last.outer_steps == loop.outer_steps and last.weight == 3
        assert last.plan == "RING" and (last.plan_reason or kind == "gradients")
        assert sorted(last.counted + last.idle) == sorted(names) and not last.left_out
        assert len(last.counted) == 1 and not last.joined and not last.lost
        assert last.bytes_sent > 0 and last.bytes_received > 0
        assert last.local_s >= 0 and last.group_s > 0 and last.wait_s >= 0
        assert last.as_dict()["weight"] == 3
        return loop.digest()

    first, second = run_threads(master.address, 2, body)
    assert first == second


def test_joins_and_losses_are_named(master: hawser.Master, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="hawser")
    ada, bob = (Member(master, name, peers=2) for name in ("ada", "bob"))
    ada.until(lambda: len(ada.rounds) > 1)
    assert sorted(ada.rounds[0].counted) == ["ada", "bob"]
    eve = Member(master, "eve")
    ada.until(lambda: any("eve" in each.counted for each in ada.rounds))
    assert [each.joined for each in ada.rounds if each.joined] == [["eve"]]
    first = next(each for each in ada.rounds if each.joined)
    assert first.idle == ["eve"]
    eve.leave()
    ada.until(lambda: any(each.lost == ["eve"] for each in ada.rounds))
    bob_leaves = threading.Thread(target=bob.leave)
    bob_leaves.start()
    wait_for(lambda: "this member waits for 1 more of 2 members" in caplog.text)
    assert "there are ada; lost since there were enough: bob" in caplog.text
    assert "joined: eve" in caplog.text and "lost: eve" in caplog.text
    cyd = Member(master, "cyd")
    bob_leaves.join(60)
    wait_for(lambda: "enough members are there after" in caplog.text)
    ada.stop()
    cyd.stop()


@pytest.mark.parametrize("kind", ["DiLoCo", "AsyncDiLoCo", "StreamingDiLoCo"])
def test_too_few_members_wait(master: hawser.Master, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"min_members": 3, "on_alone": "continue"}
    ada, bob, eve = (Member(master, name, kind, 3, **options) for name in ("ada", "bob", "eve"))
    eve.until(lambda: len(eve.rounds) >= 3)
    eve.leave()
    wait_for(lambda: caplog.text.count("this member waits for 1 more of 3 members") >= 2)
    assert "lost since there were enough: eve" in caplog.text
    stood = ada.rounds[-1].outer_steps
    assert bob.rounds[-1].outer_steps == stood
    if kind == "DiLoCo":
        assert all(len(each.counted) + len(each.idle) >= 3 for each in ada.rounds)
    dan = Member(master, "dan", kind, **options)
    for each in (ada, bob, dan):
        each.until(lambda: bool(each.rounds) and each.rounds[-1].outer_steps >= stood + 4)
    common = set(ada.digests) & set(dan.digests)
    assert common and all(ada.digests[step] == dan.digests[step] for step in common)
    for each in (ada, bob, dan):
        each.stop()


def test_the_wait_is_bounded(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> str:
        with pytest.raises(RuntimeError, match="nobody else came for 0.3 s.*3 members are needed") as caught:
            make("DiLoCo", comm, Toy(comm.rank), min_members=3, alone_timeout_s=0.3)
        return str(caught.value)

    run_threads(master.address, 2, body)


def test_members_must_agree(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        with pytest.raises(ValueError, match="min_members"):
            make("DiLoCo", comm, Toy(0), min_members=0)
