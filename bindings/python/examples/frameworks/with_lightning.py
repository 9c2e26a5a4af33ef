"""Lightning: `configure_optimizers` returns DiLoCo as an optimizer. Start one such process for each member.

    hawser master &
    python with_lightning.py 127.0.0.1:48500 & python with_lightning.py 127.0.0.1:48500

Learns to add eight numbers. Each member prints the digest of the group's model, which is equal at all of them.
"""

from __future__ import annotations

import sys
from typing import Any

import lightning  # type: ignore[import-not-found,unused-ignore]
import torch  # type: ignore[import-not-found,unused-ignore]
from torch.utils.data import DataLoader, TensorDataset  # type: ignore[import-not-found,unused-ignore]

import hawser
from hawser.torch import DiLoCo, as_optimizer


class Adder(lightning.LightningModule):  # type: ignore[misc,unused-ignore]
    def __init__(self, comm: hawser.Communicator) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
        self.comm = comm

    def training_step(self, batch: list[torch.Tensor]) -> Any:
        return (self.net(batch[0]) - batch[0].sum(1, keepdim=True)).square().mean()

    def configure_optimizers(self) -> Any:
        inner = torch.optim.AdamW(self.parameters(), lr=1e-2)
        self.diloco = DiLoCo(self, inner, self.comm, sync_every=10)
        return as_optimizer(self.diloco)


def main(master: str) -> None:
    torch.manual_seed(0)
    with hawser.Communicator(master, min_peers=2) as comm:
        model = Adder(comm)
        torch.seed()  # the model is alike on all members, the data is not
        data = DataLoader(TensorDataset(torch.randn(3200, 8)), batch_size=32)
        trainer = lightning.Trainer(
            max_steps=100, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        trainer.fit(model, data)
        print(f"{model.diloco.outer_steps} outer steps, digest {model.diloco.digest()}", flush=True)
        comm.barrier()


if __name__ == "__main__":
    main(sys.argv[1])
