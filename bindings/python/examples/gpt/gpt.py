"""A decoder-only transformer over bytes (GPT-2's arrangement: norm first, learnt positions, tied embedding)."""

from __future__ import annotations

from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
from torch import nn
from torch.nn import functional

__all__ = ["GPT", "VOCABULARY"]

VOCABULARY = 256  # bytes
_HEADS = 4
_INITIAL_DEVIATION = 0.02

Module: Any = nn.Module  # of any type where torch is not installed


class _Block(Module):  # type: ignore[misc]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.hidden_norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, 4 * width)
        self.output = nn.Linear(4 * width, width)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        batch, context, width = values.shape
        parts = self.query_key_value(self.attention_norm(values)).view(batch, context, 3, _HEADS, width // _HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        values = values + self.attended(attended.transpose(1, 2).reshape(batch, context, width))
        result: torch.Tensor = values + self.output(functional.gelu(self.hidden(self.hidden_norm(values))))
        return result


class GPT(Module):  # type: ignore[misc]
    """Says for each byte which one comes next. Weights come from torch's random generator.

    Args:
        width: of a token's vector, a multiple of 4.
        layers: blocks of attention and two linear layers.
        context: the longest sequence, in bytes.
    """

    def __init__(self, *, width: int, layers: int, context: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[_Block(width) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=_INITIAL_DEVIATION)

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean loss in nats per byte. Both int64, (batch, context)."""
        values = self.tokens(inputs) + self.positions.weight[: inputs.shape[1]]
        scores = functional.linear(self.norm(self.blocks(values)), self.tokens.weight)
        loss: torch.Tensor = functional.cross_entropy(scores.flatten(0, 1), targets.flatten())
        return loss
