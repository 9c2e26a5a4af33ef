"""One rank of a site: a model that FSDP2 shards over the ranks of the site, trained with DiLoCo between the sites.

    export HAWSER_SECRET_FILE=run.secret           # on all machines; made by: hawser keygen run.secret
    hawser master
    torchrun --standalone --nproc-per-node 2 fsdp_site.py MASTER:48500 berlin      # one site
    torchrun --standalone --nproc-per-node 2 fsdp_site.py MASTER:48500 madrid      # another one, anywhere

The toy model learns to add eight numbers. Each rank prints the digest of its shard, which is equal at both sites.
"""

from __future__ import annotations

import os
import sys

import torch  # type: ignore[import-not-found,unused-ignore]
import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]
from torch.distributed.fsdp import fully_shard  # type: ignore[import-not-found,unused-ignore]

from hawser.torch import DiLoCo, Site

SITES = 2
OUTER_STEPS = 20


def main(master: str, site_name: str) -> None:
    dist.init_process_group("gloo")  # the ranks of this site; "nccl" on GPUs
    site = Site()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    fully_shard(model)
    inner = torch.optim.AdamW(model.parameters(), lr=1e-2)
    name = f"{site_name}/{dist.get_rank()}"
    with site.communicator(master, name=name, min_peers=SITES) as comm:
        diloco = DiLoCo(model.named_parameters(), inner, comm, sync_every=10, site=site)
        data = torch.Generator().manual_seed(site.id + dist.get_rank())
        while diloco.outer_steps < OUTER_STEPS:
            numbers = torch.randn(32, 8, generator=data)
            loss = (model(numbers) - numbers.sum(1, keepdim=True)).square().mean()
            loss.backward()
            if diloco.step():
                report = f"outer step {diloco.outer_steps}, loss {loss.item():.3f}, sites: {comm.group_size}"
                print(f"{name}: {report}", flush=True)
            diloco.zero_grad()
        print(f"{name}: digest {diloco.digest()}", flush=True)
    dist.destroy_process_group()
    os._exit(0)  # torch's gloo may abort a process that ends by itself


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
