"""Which samples belong to a place in one stream that all members share."""

from __future__ import annotations

import hashlib

import torch  # type: ignore[import-not-found,unused-ignore]

__all__ = ["DataPlan"]

_ROUNDS = 6
_MASK = (1 << 31) - 1


class DataPlan:
    """An endless stream of samples, cut into batches: epoch after epoch, each in another order.

        plan = DataPlan(len(data), batch=32, seed=7)
        while diloco.outer_steps < 200:
            inputs = data[plan.batch(diloco.shares[0])]       # this member's batch, and nobody else's
            model(inputs).loss.backward()
            diloco.step()

    The order of an epoch is a permutation that is computed where it is needed, so nothing is stored and nothing is
    read ahead. It depends on seed, epoch and the number of samples only: it is the same on all machines and in all
    versions of torch.

    Args:
        samples: of the data set, at most 2^40. All members have the same.
        batch: samples of one batch. All members have the same.
        seed: of the orders; any integer.

    Raises ValueError.
    """

    def __init__(self, samples: int, *, batch: int, seed: int = 0) -> None:
        if not 1 <= samples <= 1 << 40:
            raise ValueError(f"samples is {samples}; give 1 to 2^40")
        if batch < 1:
            raise ValueError(f"batch is {batch}; give 1 or more")
        self.samples = samples
        self.batch_size = batch
        self.seed = seed
        bits = max(2, (samples - 1).bit_length())
        self._low_bits = bits // 2
        self._low_mask, self._high_mask = (1 << self._low_bits) - 1, (1 << (bits - self._low_bits)) - 1

    def batch(self, share: int) -> torch.Tensor:
        """The indices (int64, on the CPU) of batch number `share` of the stream. Raises ValueError (negative)."""
        if share < 0:
            raise ValueError(f"share is {share}; the stream begins at 0")
        first = share * self.batch_size
        parts = []
        while first < (share + 1) * self.batch_size:
            epoch, begin = divmod(first, self.samples)
            count = min((share + 1) * self.batch_size - first, self.samples - begin)
            parts.append(self._permuted(epoch, torch.arange(begin, begin + count, dtype=torch.int64)))
            first += count
        return torch.cat(parts)

    def epoch(self, share: int) -> int:
        """In which the first sample of batch number `share` is."""
        return share * self.batch_size // self.samples

    def _permuted(self, epoch: int, places: torch.Tensor) -> torch.Tensor:
        """A Feistel network permutes all numbers of as many bits; what leaves the range goes through it again."""
        keys = self._keys(epoch)
        found = self._network(places, keys)
        outside = (found >= self.samples).nonzero().flatten()
        while outside.numel():
            found[outside] = self._network(found[outside], keys)
            outside = outside[found[outside] >= self.samples]
        return found

    def _network(self, numbers: torch.Tensor, keys: list[int]) -> torch.Tensor:
        high, low = numbers >> self._low_bits, numbers & self._low_mask
        for odd, even in zip(keys[::2], keys[1::2]):
            low = low ^ (_mixed(high, odd) & self._low_mask)
            high = high ^ (_mixed(low, even) & self._high_mask)
        return (high << self._low_bits) | low

    def _keys(self, epoch: int) -> list[int]:
        drawn = hashlib.sha256(f"{self.seed} {epoch} {self.samples}".encode()).digest()
        return [int.from_bytes(drawn[4 * i : 4 * i + 4], "big") & _MASK for i in range(_ROUNDS)]


def _mixed(half: torch.Tensor, key: int) -> torch.Tensor:
    """Numbers of 31 bits from numbers of 20; products stay below 2^62."""
    mixed = ((half ^ key) * 0x45D9F3B) & _MASK
    mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & _MASK
    return mixed ^ (mixed >> 13)
