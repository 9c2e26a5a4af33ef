"""What the training scripts have in common: flags, text, learning rate."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from pydoc_data.topics import topics

import torch  # type: ignore[import-not-found,unused-ignore]
from gpt import GPT

__all__ = ["Text", "flags", "learning_rate", "model_of"]

_VALIDATION_PART = 20
"""The last one of so many parts of the text is not trained on."""
_VALIDATION_BATCH = 64
_MODEL_SEED = 1
_WARMUP_STEPS = 100
_LAST_RATE = 0.1


def flags(about: str | None) -> argparse.ArgumentParser:
    """Of all scripts."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="to learn; default: Python's language reference, as pydoc has it")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="bytes of text to train on, again and again")
    parser.add_argument("--seed", type=int, default=0, help="of the batches")
    parser.add_argument("--batch", type=int, default=4, help="sequences in a step")
    parser.add_argument("--context", type=int, default=64, help="bytes of a sequence")
    parser.add_argument("--width", type=int, default=64, help="of the model")
    parser.add_argument("--layers", type=int, default=2, help="of the model")
    parser.add_argument("--lr", type=float, default=0.001, help="the highest learning rate")
    parser.add_argument("--start", type=Path, help="file of parameters to go on from; default: random ones")
    parser.add_argument("--report-every", type=int, default=100, help="steps")
    parser.add_argument("--save", type=Path, default=Path("gpt.pt"), help="file for the trained parameters")
    return parser


class Text:
    """Bytes to train on, and others to validate with, which are the same for all who have the same text.

    Raises SystemExit if there are too few.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        content = given.text.read_bytes() if given.text else "\n\n".join(topics[key] for key in sorted(topics)).encode()
        everything = torch.frombuffer(bytearray(content), dtype=torch.uint8).long()
        cut = len(everything) - len(everything) // _VALIDATION_PART
        self._training = everything[:cut]
        self._batch, self._context = given.batch, given.context
        self._generator = torch.Generator().manual_seed(given.seed)
        count = (len(everything) - cut - 1) // given.context
        if count < 1:
            raise SystemExit(f"the text has {len(content)} bytes: too few for sequences of {given.context}")
        self._inputs = everything[cut : cut + count * given.context].view(count, given.context)
        self._targets = everything[cut + 1 : cut + 1 + count * given.context].view(count, given.context)

    def sample(self) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch from random places: inputs, and the bytes that follow each."""
        last = len(self._training) - self._context - 1
        places = torch.randint(last, (self._batch, 1), generator=self._generator) + torch.arange(self._context)
        return self._training[places], self._training[places + 1]

    def validation_loss(self, model: GPT, parameters: dict[str, torch.Tensor]) -> float:
        """In nats per byte, over the whole validation text, of the model with these parameters."""
        total = 0.0
        with torch.no_grad():
            for begin in range(0, len(self._inputs), _VALIDATION_BATCH):
                inputs, targets = (each[begin : begin + _VALIDATION_BATCH] for each in (self._inputs, self._targets))
                total += torch.func.functional_call(model, parameters, (inputs, targets)).item() * len(inputs)
        return total / len(self._inputs)


def model_of(given: argparse.Namespace) -> GPT:
    """As the flags say, the same in all processes."""
    torch.manual_seed(_MODEL_SEED)
    model = GPT(width=given.width, layers=given.layers, context=given.context)
    if given.start:
        model.load_state_dict(torch.load(given.start, weights_only=True))
    return model


def learning_rate(given: argparse.Namespace, step: int, tokens: int) -> float:
    """Warmup over this process's first steps, times a cosine over all tokens."""
    progress = min(1.0, tokens / given.tokens)
    cosine = _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
    return float(given.lr * min(1.0, (step + 1) / _WARMUP_STEPS) * cosine)
