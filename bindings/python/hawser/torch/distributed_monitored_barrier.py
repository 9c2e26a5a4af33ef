"""torch's monitored barrier: rank 0 says who has not come. Made in torch's store, so that nothing else must work.

The sentences have the words of torch's own, which programs look for.
"""

from __future__ import annotations

import time
from datetime import timedelta

import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]
from torch._C._distributed_c10d import Store  # type: ignore[import-not-found,unused-ignore]

__all__ = ["monitored_barrier"]

_OK = "ok"


def monitored_barrier(
    store: Store, *, number: int, rank: int, size: int, timeout: timedelta, wait_all_ranks: bool
) -> None:
    """Blocks until all ranks have called it, at most `timeout`.

    Raises DistBackendError on rank 0 if ranks are missing, and then on those that have come. Rank 0 names the first of
    them, or all with `wait_all_ranks`.

    Args:
        number: how many of them there were before in this group.
    """
    ends = time.monotonic() + timeout.total_seconds()
    prefix = f"hawser/monitored/{number}"
    if rank != 0:
        store.set(f"{prefix}/{rank}", _OK)
        _wait_for_rank_0(store, f"{prefix}/outcome", rank, ends)
        return
    missing = []
    for other in range(1, size):
        if not _comes(store, f"{prefix}/{other}", ends):
            missing.append(other)
            if not wait_all_ranks:
                break
    sentence = _sentence(missing, timeout) if missing else ""
    store.set(f"{prefix}/outcome", sentence or _OK)
    if not sentence:
        return
    if timeout.total_seconds() <= 0:
        sentence = f"Rank 0 timed out in monitoredBarrier after 0 s, because its timeout was over at once. {sentence}"
    raise dist.DistBackendError(sentence)


def _wait_for_rank_0(store: Store, key: str, rank: int, ends: float) -> None:
    why = "rank 0 did not come in time" if not _comes(store, key, ends) else str(store.get(key).decode())
    if why != _OK:
        raise dist.DistBackendError(
            f"Rank {rank} successfully reached monitoredBarrier, but received errors while waiting for send/recv from "
            f"rank 0: {why}"
        )


def _sentence(missing: list[int], timeout: timedelta) -> str:
    whom = f"Rank {missing[0]}" if len(missing) == 1 else f"Ranks {', '.join(map(str, missing))}"
    return (
        f"{whom} failed to pass monitoredBarrier: the barrier timed out after {timeout.total_seconds():g} s. "
        "Look at what those ranks do."
    )


def _comes(store: Store, key: str, ends: float) -> bool:
    left_s = ends - time.monotonic()
    if left_s <= 0:
        return bool(store.check([key]))
    try:
        store.wait([key], timedelta(seconds=left_s))
    except RuntimeError:  # a DistStoreError, or of a FileStore a plain one
        return False
    return True
