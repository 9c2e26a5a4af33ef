"""Two peers train with StreamingDiLoCo, and one of them prints when its fragments travel beside its inner steps.

python streaming_timeline.py [--device cuda] [--overlap 4]

A row is an inner step. "=" is a fragment that travelled while the step was computed, "#" one whose outer step was made
after it. `waited` is how long that step() took: with enough overlap only the end of a round waits for the others.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from dataclasses import dataclass

import torch

import hawser
from hawser.torch import StreamingDiLoCo


@dataclass
class Row:
    """One inner step of a peer."""

    computed_ms: float
    waited_ms: float
    travelled: list[int]
    stepped: list[int]


def trained(master: str, seed: int, given: argparse.Namespace) -> list[Row]:
    torch.set_num_threads(1)  # both peers may share a processor, and the network needs one too
    torch.manual_seed(0)
    layers = [torch.nn.Linear(given.width, given.width) for _ in range(given.fragments)]
    model = torch.nn.Sequential(*layers).to(given.device)
    inner = torch.optim.SGD(model.parameters(), lr=1e-3)
    torch.manual_seed(seed)
    rows: list[Row] = []
    with hawser.Communicator(master, name=f"peer {seed}", min_peers=2) as comm:
        diloco = StreamingDiLoCo(
            model.named_parameters(),
            inner,
            comm,
            sync_every=given.sync_every,
            fragments=given.fragments,
            overlap=given.overlap,
        )
        due = [(index + 1) * given.sync_every // given.fragments for index in range(given.fragments)]
        while len(rows) < given.steps:
            begun = time.monotonic()
            travelled = diloco.travelling
            batch = torch.randn(given.batch, given.width, device=given.device)
            loss: torch.Tensor = (model(batch) - batch).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            loss.item()  # until the device has computed it
            computed = time.monotonic()
            number = diloco.local_steps + 1
            diloco.step()
            diloco.zero_grad()
            rows.append(
                Row(
                    1000 * (computed - begun),
                    1000 * (time.monotonic() - computed),
                    travelled,
                    [index for index, at in enumerate(due) if at == number],
                )
            )
        comm.barrier()
    return rows


def report(rows: list[Row], fragments: int) -> None:
    print("step  computed    waited  fragments")
    for number, row in enumerate(rows, 1):
        marks = ["#" if i in row.stepped else "=" if i in row.travelled else "." for i in range(fragments)]
        print(f"{number:4d} {row.computed_ms:6.1f} ms {row.waited_ms:6.1f} ms  {' '.join(marks)}")
    computed, waited = sum(row.computed_ms for row in rows), sum(row.waited_ms for row in rows)
    print(f"computed for {computed:.0f} ms, and in step() for {waited:.0f} ms")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--steps", type=int, default=40)
    arguments.add_argument("--sync-every", type=int, default=20)
    arguments.add_argument("--fragments", type=int, default=4)
    arguments.add_argument("--overlap", type=int, default=3)
    arguments.add_argument("--width", type=int, default=1024)
    arguments.add_argument("--batch", type=int, default=64)
    given = arguments.parse_args()
    with hawser.Master("127.0.0.1:0") as master:
        other = multiprocessing.get_context("spawn").Process(target=trained, args=(master.address, 1, given))
        other.start()
        rows = trained(master.address, 2, given)
        other.join()
    report(rows, given.fragments)
    return other.exitcode or 0


if __name__ == "__main__":
    sys.exit(main())
