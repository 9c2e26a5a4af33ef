"""Process groups of torch that are made of communicators, without torch's rendezvous."""

from __future__ import annotations

from datetime import timedelta

import hawser
from hawser.torch.distributed import HawserProcessGroup, Options
from hawser.torch.distributed_rendezvous import Gathered
from hawser.torch.distributed_static_group import StaticGroup


def group_of(
    comm: hawser.Communicator,
    options: Options | None = None,
    rank_at: list[int] | None = None,
    timeout: timedelta | None = None,
) -> HawserProcessGroup:
    """Of all members of the view. rank_at: the torch rank at each of its positions; without, they are the same."""
    members = comm.members
    ranks = list(range(len(members))) if rank_at is None else rank_at
    gathered = Gathered(
        comm=comm,
        master=None,
        rank_at=ranks,
        names={rank: f"rank {rank}" for rank in ranks},
        peer_ids={member.peer_id: rank for rank, member in zip(ranks, members)},
    )
    return HawserProcessGroup(StaticGroup(gathered), options or Options(), ranks[comm.rank], timeout=timeout)
