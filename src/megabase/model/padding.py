"""Sequences of tokens as batches that a model reads at once, padded on the right."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray

_PAD = DNA_VOCABULARY.id_of("[PAD]")


def batches(
    sequences: Iterable[TokenArray], tokens_per_batch: int, *, n_beside: int = 0
) -> Iterator[list[TokenArray]]:
    """Join sequences that follow each other as long as their padded size allows.

    Parameters
    ----------
    sequences
        Tokens of each.
    tokens_per_batch
        The most, padding included, but for one sequence that is longer by itself.
    n_beside
        Tokens that the model puts beside each, such as those of a prompt.
    """
    batch: list[TokenArray] = []
    longest = 0
    for sequence in sequences:
        longest = max(longest, len(sequence))
        if batch and (longest + n_beside) * (len(batch) + 1) > tokens_per_batch:
            yield batch
            batch, longest = [], len(sequence)
        batch.append(sequence)
    if batch:
        yield batch


def pad(
    batch: Sequence[TokenArray],
) -> tuple[Int64[Tensor, "batch length"], Bool[Tensor, "batch length"]]:
    """Pad on the right to the longest of the batch; the mask is false on padding."""
    longest = max(map(len, batch))
    tokens = torch.full((len(batch), longest), _PAD)
    mask = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, sequence in enumerate(batch):
        tokens[row, : len(sequence)] = torch.from_numpy(sequence.astype(np.int64))
        mask[row, : len(sequence)] = True
    return tokens, mask
