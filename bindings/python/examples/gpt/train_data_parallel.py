"""A small GPT, trained on text by peers that average every gradient. They stay the same to the end.

The yardstick of what training over a network costs without local steps.
"""

from __future__ import annotations

import hawser
import torch  # type: ignore[import-not-found,unused-ignore]
from hawser.torch import DataParallel
from training import Text, flags, learning_rate, model_of

parser = flags(__doc__)
parser.add_argument("--master", required=True, help="HOST:PORT of the run's master")
parser.add_argument("--peers", type=int, required=True, help="to wait for")
given = parser.parse_args()

torch.set_num_threads(1)
text = Text(given)
model = model_of(given)
optimizer = torch.optim.AdamW(model.parameters(), lr=given.lr, betas=(0.9, 0.99), weight_decay=0.1)
comm = hawser.Communicator(given.master, min_peers=given.peers)
comm.connect()
parallel = DataParallel(model.named_parameters(), comm)
step_tokens = given.peers * given.batch * given.context
step = tokens = 0
while tokens < given.tokens:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(given, step, tokens)
    loss = model(*text.sample())
    loss.backward()
    parallel.finish()
    optimizer.step()
    optimizer.zero_grad()
    step += 1
    tokens += step_tokens
    if step % given.report_every == 0 or tokens >= given.tokens:
        trained = model.state_dict()
        validation = text.validation_loss(model, trained)
        print(
            f"step {step} tokens {tokens} loss {loss.item():.3f} validation {validation:.4f}",
            f"peers {given.peers} bytes_sent {parallel.bytes_sent}",
            flush=True,
        )
torch.save(trained, given.save)
