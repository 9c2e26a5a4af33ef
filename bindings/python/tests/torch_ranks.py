"""Ranks of a torch process group over loopback: processes that run the functions they are given, until told to end."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import torch.distributed as dist
from peers import PeerProcess
from torch._C._distributed_c10d import TCPStore

import hawser.torch.distributed

START_BOUND_S = 150.0
"""Torch takes long to import on a busy machine."""


def serve(_: str, pipe: Connection, environment: dict[str, str], backend: str, arguments: dict[str, Any]) -> None:
    """The body of a rank's process: joins the group, then answers calls."""
    os.environ.update(environment)
    options = arguments.pop("options")
    if options is not None:
        arguments["pg_options"] = options()
    assert hawser.torch.distributed.HawserProcessGroup is not None
    dist.init_process_group(backend, **arguments)
    pipe.send(("ready", None))
    while (request := pipe.recv()) is not None:
        function, given = request
        try:
            answer = ("result", function(*given))
        except BaseException as error:
            traceback.print_exc()
            answer = ("error", f"{type(error).__name__}: {error}")
        pipe.send(answer)
    dist.destroy_process_group()


class Ranks:
    """The ranks 0 to world - 1. Torch's store is in this process, so that it outlives any of them."""

    def __init__(
        self,
        world: int,
        *,
        backend: str = "hawser",
        environment: dict[str, str] | None = None,
        world_sizes: list[int] | None = None,
        timeout: timedelta = timedelta(seconds=60),
        options: Callable[[], hawser.torch.distributed.Options] | None = None,
    ) -> None:
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        given = {"timeout": timeout, "options": options}
        self._peers = []
        for rank in range(world):
            torchrun = {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(self._store.port),
                "TORCHELASTIC_USE_AGENT_STORE": "True",  # rank 0 makes none of its own
                "RANK": str(rank),
                "WORLD_SIZE": str(world if world_sizes is None else world_sizes[rank]),
            }
            self._peers.append(PeerProcess(serve, "", {**torchrun, **(environment or {})}, backend, given))

    def failure(self, rank: int) -> str:
        """Why its group was not made."""
        kind, sentence = self._answer(rank)
        assert kind == "error"
        return str(sentence)

    def __len__(self) -> int:
        return len(self._peers)

    def wait_ready(self) -> None:
        for rank in range(len(self)):
            assert self._answer(rank) == ("ready", None)

    def start(self, rank: int, function: Callable[..., Any], *arguments: Any) -> None:
        """Has one rank call it."""
        self._peers[rank].pipe.send((function, arguments))

    def finish(self, rank: int) -> Any:
        """What the function gave that was started there."""
        kind, value = self._answer(rank)
        assert kind == "result", f"rank {rank}: {value}"
        return value

    def on(self, rank: int, function: Callable[..., Any], *arguments: Any) -> Any:
        self.start(rank, function, *arguments)
        return self.finish(rank)

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Has all ranks call it; what it gave on each."""
        for rank in range(len(self)):
            self.start(rank, function, *arguments)
        return [self.finish(rank) for rank in range(len(self))]

    def kill(self, rank: int) -> None:
        self._peers[rank].process.kill()
        self._peers[rank].process.join(START_BOUND_S)

    def end(self, *, killed: tuple[int, ...] = ()) -> None:
        """All destroy their groups and exit well."""
        for rank, peer in enumerate(self._peers):
            if rank not in killed:
                peer.pipe.send(None)
        for rank, peer in enumerate(self._peers):
            if rank not in killed:
                assert peer.result() is None

    def close(self) -> None:
        for peer in self._peers:
            peer.process.kill()
            peer.process.join(START_BOUND_S)

    def _answer(self, rank: int) -> Any:
        assert self._peers[rank].pipe.poll(START_BOUND_S), f"rank {rank} says nothing"
        return self._peers[rank].pipe.recv()


@contextlib.contextmanager
def started(world: int, **given: Any) -> Iterator[Ranks]:
    ranks = Ranks(world, **given)
    try:
        ranks.wait_ready()
        yield ranks
    finally:
        ranks.close()
