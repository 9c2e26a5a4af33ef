"""Peers of a run over loopback: as threads of this process, or as processes of their own."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Iterator, TypeVar

import hawser

BOUND_S = 60.0
T = TypeVar("T")
Body = TypeVar("Body", bound=Callable[..., Any])


def communicator(address: str, **config: Any) -> hawser.Communicator:
    return hawser.Communicator(address, listen_address="127.0.0.1", connect_ms=30_000, **config)


def gather(comm: hawser.Communicator, world: int) -> None:
    """Calls update-topology, as all members do, until the group is complete."""
    while comm.group_size < world:
        comm.update_topology()
        time.sleep(0.005)


@contextmanager
def joined(address: str, world: int, **config: Any) -> Iterator[hawser.Communicator]:
    with communicator(address, **config) as comm:
        comm.connect()
        gather(comm, world)
        yield comm


def run_threads(address: str, world: int, body: Callable[[hawser.Communicator], T], **config: Any) -> list[T]:
    """Runs body(communicator) in one thread for each peer; gives what they return, by rank."""
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def peer() -> None:
        try:
            with joined(address, world, **config) as comm:
                rank = comm.rank
                results[rank] = body(comm)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=peer, daemon=True) for _ in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
        assert not thread.is_alive(), "a peer did not end"
    if errors:
        raise errors[0]
    return [results[rank] for rank in sorted(results)]


def ends_at_once(body: Body) -> Body:
    """Marks a body of PeerProcess whose process ends without finalizing Python.

    For those that use torch's gloo: a thread of it lets go of its last call's Python objects after that call has ended,
    and if the interpreter is ending by then, the process is aborted ("terminate called without an active exception";
    torch 2.13, 3 of 87 runs of a program without Hawser, with destroy_process_group or without).
    """
    body.ends_at_once = True  # type: ignore[attr-defined]
    return body


def _process(body: Callable[..., Any], address: str, arguments: tuple[Any, ...], pipe: Connection) -> None:
    # Shows where it stands, before those who wait for it give up.
    faulthandler.dump_traceback_later(0.4 * BOUND_S, repeat=True)
    try:
        pipe.send(("result", body(address, pipe, *arguments)))
    except BaseException as error:
        traceback.print_exc()
        pipe.send(("error", f"{type(error).__name__}: {error}"))
    if getattr(body, "ends_at_once", False):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class PeerProcess:
    """A process that runs body(address, pipe, *arguments)."""

    def __init__(self, body: Callable[..., Any], address: str, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_process, args=(body, address, arguments, theirs), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def receive(self) -> Any:
        assert self.pipe.poll(BOUND_S), "a peer process says nothing"
        return self.pipe.recv()

    def result(self) -> Any:
        kind, value = self.receive()
        assert kind == "result", value
        self.process.join(BOUND_S)
        assert self.process.exitcode == 0
        return value
