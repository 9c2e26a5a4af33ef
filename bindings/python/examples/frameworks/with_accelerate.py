"""Accelerate: DiLoCo as an optimizer goes to `prepare`, and the loop stays. Start one such process for each member.

    hawser master &
    python with_accelerate.py 127.0.0.1:48500 & python with_accelerate.py 127.0.0.1:48500

Learns to add eight numbers. Each member prints the digest of the group's model, which is equal at all of them.
"""

from __future__ import annotations

import sys

import torch  # type: ignore[import-not-found,unused-ignore]
from accelerate import Accelerator  # type: ignore[import-not-found,import-untyped,unused-ignore]
from torch.utils.data import DataLoader, TensorDataset  # type: ignore[import-not-found,unused-ignore]

import hawser
from hawser.torch import DiLoCo, as_optimizer


def main(master: str) -> None:
    torch.manual_seed(0)
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    model = accelerator.prepare(net)  # before DiLoCo, which keeps the parameters where they are then
    with hawser.Communicator(master, min_peers=2) as comm:
        diloco = DiLoCo(net, torch.optim.AdamW(net.parameters(), lr=1e-2), comm, sync_every=10)
        torch.seed()  # the model is alike on all members, the data is not
        data = DataLoader(TensorDataset(torch.randn(6400, 8)), batch_size=32)
        optimizer, data = accelerator.prepare(as_optimizer(diloco), data)
        for (numbers,) in data:
            with accelerator.accumulate(model):
                accelerator.backward((model(numbers) - numbers.sum(1, keepdim=True)).square().mean())
                optimizer.step()
                optimizer.zero_grad()
        print(f"{diloco.outer_steps} outer steps, digest {diloco.digest()}", flush=True)
        comm.barrier()


if __name__ == "__main__":
    main(sys.argv[1])
