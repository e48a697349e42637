"""Joining sequences of tokens into batches, padded on the right."""

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
    """Yield batches of consecutive sequences, as large as their padded size allows.

    Parameters
    ----------
    sequences
        The tokens of each sequence.
    tokens_per_batch
        The most tokens of a batch, including padding. A longer sequence is a batch by itself.
    n_beside
        Tokens that the model adds to each sequence, such as those of a prompt.
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
    """Return the tokens of a batch padded on the right, and a mask that is False on padding."""
    longest = max(map(len, batch))
    tokens = torch.full((len(batch), longest), _PAD)
    mask = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, sequence in enumerate(batch):
        tokens[row, : len(sequence)] = torch.from_numpy(sequence.astype(np.int64))
        mask[row, : len(sequence)] = True
    return tokens, mask
