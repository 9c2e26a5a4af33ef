"""The sum of sparse tensors, made of all-gathers of what each rank has."""

from __future__ import annotations

from collections.abc import Callable

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["GATHERED", "sum_of_sparse"]

GATHERED = 3
"""So many all-gathers are made: how many elements each rank has, their indices, their values."""


def sum_of_sparse(mine: torch.Tensor, gathered: Callable[[torch.Tensor], list[torch.Tensor]]) -> torch.Tensor:
    """Coalesced, as `mine` is, with the indices of all ranks.

    Args:
        gathered: gives the flat tensors of all ranks, which are equally long.
    """
    indices, values = mine.indices().t().contiguous(), mine.values()
    counts = [int(count) for count in gathered(torch.tensor([len(indices)], device=mine.device))]
    longest = max(counts)
    all_indices = gathered(_padded(indices, longest))
    all_values = gathered(_padded(values, longest))
    return torch.sparse_coo_tensor(
        torch.cat([_rows(flat, indices, count) for flat, count in zip(all_indices, counts)]).t(),
        torch.cat([_rows(flat, values, count) for flat, count in zip(all_values, counts)]),
        mine.shape,
    ).coalesce()


def _padded(rows: torch.Tensor, count: int) -> torch.Tensor:
    return torch.cat([rows, rows.new_zeros((count - len(rows), *rows.shape[1:]))])


def _rows(flat: torch.Tensor, like: torch.Tensor, count: int) -> torch.Tensor:
    """The first of what `_padded` made of rows like these."""
    return flat.view(-1, *like.shape[1:])[:count] if count else like[:0]
