"""The ranks that hold the shards of one replica of a model, and the peer group of each shard."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]

from hawser import Communicator

__all__ = ["Fate", "Site", "shard"]

_ID_BITS = 40
"""Sums of a thousand of them fit in 64 bits."""


class Fate(IntEnum):
    """How a call with the group ended, from well to badly."""

    DONE = 0
    AGAIN = 1
    OUT = 2


def shard(tensor: torch.Tensor) -> torch.Tensor:
    """What this rank holds of a tensor (of torch.distributed.tensor.DTensor its part, else all), without gradient."""
    own = tensor.detach()
    return own.to_local() if hasattr(own, "to_local") else own


class Site:
    """A replica that is sharded over some ranks (FSDP2's fully_shard), near each other and joined by torch.distributed.

        dist.init_process_group("gloo")                        # or "nccl": inside the site
        site = Site()
        fully_shard(model)
        with site.communicator("10.0.0.1:48500") as comm:      # between the sites
            diloco = DiLoCo(model.parameters(), inner, comm, sync_every=500, site=site)

    The ranks of equal number of all sites form a peer group, which reduces their shard. A site joins and leaves as a
    whole: its ranks are admitted together, and if one is lost, all are (`party` of Communicator). After each call with
    the groups the ranks of a site compare how it ended. If a loss let one shard's average count a site that another's
    does not, all are reduced again.

    All sites have equally many ranks and shard alike. The ranks of a site make the same calls, and give the same
    weight, that of the site. If a process of a site dies, torch.distributed raises in the others. Let them end, and
    start the site again.

    Args:
        process_group: of torch.distributed, of this site's ranks; None: the default one. Its timeout bounds how long a
            rank waits for the others of its site, also while those wait for other sites.

    Making one is a collective call of the process group.
    """

    def __init__(self, process_group: Any = None) -> None:
        self._group = process_group
        self.rank = int(dist.get_rank(process_group))
        self.size = int(dist.get_world_size(process_group))
        drawn = random.SystemRandom().getrandbits(_ID_BITS) | 1
        self.id = self.gather([drawn])[0][0]
        """Drawn at random, the same at all its ranks."""

    def communicator(self, master: str, **options: Any) -> Communicator:
        """As `hawser.Communicator`, in the peer group of this rank's shard and the party of this site."""
        if self.size > 1:
            options = {"party": self.id, "party_size": self.size, **options}
        return Communicator(master, group=self.rank, **options)

    def gather(self, numbers: Sequence[int]) -> list[list[int]]:
        """Equally many numbers of each rank, by rank. Blocks until all have come so far."""
        device = torch.device("cuda") if dist.get_backend(self._group) == "nccl" else torch.device("cpu")
        own = torch.tensor(list(numbers), dtype=torch.int64, device=device)
        all_of = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(all_of, own, group=self._group)
        return [each.tolist() for each in all_of]

    def worst(self, fate: Fate, mark: int = 0) -> Fate:
        """Of all ranks. Marks that differ, of calls that all ended well, mean AGAIN."""
        told = self.gather([fate, mark])
        worst = max(Fate(each[0]) for each in told)
        if worst == Fate.DONE and len({each[1] for each in told}) > 1:
            return Fate.AGAIN
        return worst
