"""A store in which an earlier attempt to make a process group has left its words."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("torch")

from torch._C._distributed_c10d import FileStore, HashStore, TCPStore  # noqa: E402

from hawser.torch import distributed_rendezvous as rendezvous  # noqa: E402
from hawser.torch.distributed import Options  # noqa: E402

TIMEOUT = timedelta(seconds=60)


def rank_of(store: Any, rank: int, gathered: dict[int, Any]) -> threading.Thread:
    def body() -> None:
        try:
            gathered[rank] = rendezvous.gather(
                store, rank=rank, size=2, timeout=TIMEOUT, options=Options(), is_default=False
            )
        except BaseException as error:
            gathered[rank] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", ["hash", "file", "tcp"])
@pytest.mark.parametrize("first", [0, 1])
def test_the_next_attempt_takes_no_notice_of_it(kind: str, first: int, tmp_path: Any) -> None:
    store: Any
    if kind == "hash":
        store = HashStore()
    elif kind == "file":
        store = FileStore(str(tmp_path / "store"), 2)
    else:
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    # Both had come, rank 0's master was told, and rank 1 died: nobody listens there any more.
    old = "dead0 dead1\n127.0.0.1:1"
    store.set("hawser/here/0", "2 dead0")
    store.set("hawser/here/1", "2 dead1")
    store.set("hawser/master", old)
    gathered: dict[int, Any] = {}
    threads = {first: rank_of(store, first, gathered)}
    # Rank 0 may have told its address to the rank that died; rank 1 may have read what a rank 0 had told that is gone.
    ends = time.monotonic() + TIMEOUT.total_seconds()
    told, what = ("hawser/master", old) if first == 0 else ("hawser/here/1", "2 dead1")
    while store.get(told).decode() == what:
        assert time.monotonic() < ends
        time.sleep(0.01)
    threads[1 - first] = rank_of(store, 1 - first, gathered)
    for thread in threads.values():
        thread.join(2 * TIMEOUT.total_seconds())
    assert {rank: type(one) for rank, one in gathered.items()} == dict.fromkeys((0, 1), rendezvous.Gathered), gathered
    assert gathered[0].rank_at == gathered[1].rank_at
    for rank in (1, 0):
        gathered[rank].comm.close()
    gathered[0].master.close()
