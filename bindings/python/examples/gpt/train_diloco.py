"""A small GPT, trained on text."""

from __future__ import annotations

import hawser.torch
import torch  # type: ignore[import-not-found,unused-ignore]
from training import Text, flags, learning_rate, model_of

parser = flags(__doc__)
parser.add_argument("--master", required=True, help="HOST:PORT of the run's master")
parser.add_argument("--mode", default="DiLoCo", choices=["DiLoCo", "AsyncDiLoCo", "StreamingDiLoCo"])
given = parser.parse_args()

torch.set_num_threads(1)
text = Text(given)
model = model_of(given)
optimizer = torch.optim.AdamW(model.parameters(), lr=given.lr, betas=(0.9, 0.99), weight_decay=0.1)
step_tokens = given.batch * given.context
kind, comm = getattr(hawser.torch, given.mode), hawser.Communicator(given.master)
more = {"fragments": 2, "overlap": 5, "quantization": hawser.Quantization.min_max()} if "Stream" in given.mode else {}
H, momentum = (5, 0.5) if given.mode == "AsyncDiLoCo" else (25, 0.7)
more |= {"sync_every": H, "outer_momentum": momentum, "weight": lambda: H * step_tokens}
diloco = kind(model.named_parameters(), optimizer, comm, **more)
step = tokens = 0
while tokens < given.tokens:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(given, step, tokens)
    loss = model(*text.sample())
    loss.backward()
    diloco.step()
    optimizer.zero_grad()
    step += 1
    tokens = diloco.total_weight
    if step % given.report_every == 0 or tokens >= given.tokens:
        trained = diloco.outer_parameters()
        validation = text.validation_loss(model, trained)
        print(
            f"step {step} tokens {tokens} loss {loss.item():.3f} validation {validation:.4f}",
            f"peers {comm.group_size} bytes_sent {diloco.bytes_sent} digest {diloco.digest()}",
            flush=True,
        )
torch.save(trained, given.save)
