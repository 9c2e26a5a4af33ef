"""Process groups of torch that are made of communicators, without torch's rendezvous."""

from __future__ import annotations

import hawser
import hawser.torch.distributed
from hawser.torch.distributed_rendezvous import Gathered
from hawser.torch.distributed_static_group import StaticGroup


def group_of(
    comm: hawser.Communicator, options: hawser.torch.distributed.Options | None = None
) -> hawser.torch.distributed.HawserProcessGroup:
    """Of all members of the view, whose ranks are those of torch: nothing has to be put in another order."""
    members = comm.members
    gathered = Gathered(
        comm=comm,
        master=None,
        rank_at=list(range(len(members))),
        names={rank: member.name for rank, member in enumerate(members)},
        peer_ids={member.peer_id: rank for rank, member in enumerate(members)},
    )
    return hawser.torch.distributed.HawserProcessGroup(
        StaticGroup(gathered), options or hawser.torch.distributed.Options(), comm.rank
    )
