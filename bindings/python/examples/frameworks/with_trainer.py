"""Hugging Face's Trainer: DiLoCo as an optimizer in `optimizers=`. Start one such process for each member.

    hawser master &
    python with_trainer.py 127.0.0.1:48500 & python with_trainer.py 127.0.0.1:48500

A tiny GPT-2 learns to count. Each member prints the digest of the group's model, which is equal at all of them.
"""

from __future__ import annotations

import sys
import tempfile

import torch  # type: ignore[import-not-found,unused-ignore]
from transformers import (  # type: ignore[import-not-found,unused-ignore]
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
    get_linear_schedule_with_warmup,
)

import hawser
from hawser.torch import DiLoCo, as_optimizer


def main(master: str) -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=32, n_layer=2, n_head=2))
    torch.seed()  # the model is alike on all members, the data is not
    data = []
    for _ in range(800):
        counted = (torch.randint(64, (1,)) + torch.arange(16)) % 64
        data.append({"input_ids": counted, "labels": counted})
    with hawser.Communicator(master, min_peers=2) as comm, tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder, max_steps=60, per_device_train_batch_size=8, use_cpu=True, report_to="none", save_strategy="no"
        )
        diloco = DiLoCo(model, torch.optim.AdamW(model.parameters(), lr=1e-3), comm, sync_every=10)
        optimizer = as_optimizer(diloco)
        scheduler = get_linear_schedule_with_warmup(optimizer, 10, 60)  # type: ignore[no-untyped-call,unused-ignore]
        Trainer(model, settings, train_dataset=data, optimizers=(optimizer, scheduler)).train()
        print(f"{diloco.outer_steps} outer steps, digest {diloco.digest()}", flush=True)
        comm.barrier()


if __name__ == "__main__":
    main(sys.argv[1])
