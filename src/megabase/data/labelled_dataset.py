"""Read labelled sequences as training batches: drawn at random, padded on the right."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.model.heads import UNCOUNTED, is_counted
from megabase.model.language import pad

# Rows are padded together if the longest exceeds the shortest by at most this factor, or by at
# most this number of tokens.
_LONGER_SHARE, _LONGER = 4 / 3, 64

Inputs = dict[str, Shaped[Tensor, "row ..."]]
"""`input_ids`; `attention_mask` if there is padding; `labels` if the sequences have labels."""


BaseLabels = Shaped[np.ndarray, " _"]
"""The labels of the bases of one sequence, in the order of the sequence."""


@dataclass(frozen=True)
class Examples:
    """Sequences and their labels, both in the order of the rows of a table.

    Parameters
    ----------
    sequences
        Tokens of each sequence.
    labels
        The result of `Labels.encode`, one entry per row; or one array per sequence with the
        labels of its bases: class numbers, `heads.UNCOUNTED` for a base that does not count,
        or values, NaN for a base that does not count.
    """

    sequences: list[TokenArray]
    labels: Shaped[np.ndarray, "row ..."] | list[BaseLabels]

    def __len__(self) -> int:
        return len(self.sequences)

    def part(self, rows: Int64[np.ndarray, " part"]) -> "Examples":
        """Return the examples of some row numbers, in the order given."""
        labels = self.labels
        some = labels[rows] if isinstance(labels, np.ndarray) else [labels[row] for row in rows]
        return Examples([self.sequences[row] for row in rows], some)

    def targets(self) -> Shaped[np.ndarray, "target ..."]:
        """Return the label of each row; or of each base that counts, row after row."""
        labels = self.labels
        return labels if isinstance(labels, np.ndarray) else self.counted(np.concatenate(labels))

    def counted(self, answers: Shaped[np.ndarray, "answer ..."]) -> Shaped[np.ndarray, "..."]:
        """Return the predictions that have a target, out of those for all rows or bases."""
        if isinstance(self.labels, np.ndarray):
            return answers
        return answers[is_counted(torch.from_numpy(np.concatenate(self.labels))[None])[0].numpy()]

    def ends(self) -> Int64[np.ndarray, " row"]:
        """Return the number of predictions, one per row or base, up to the end of each row."""
        per_row = np.ones(len(self), dtype=np.int64)
        return (per_row if isinstance(self.labels, np.ndarray) else self.lengths()).cumsum()

    def units(self) -> Int64[np.ndarray, " target"] | None:
        """Return the row number of each base in `targets`; None if each row has one label."""
        if isinstance(self.labels, np.ndarray):
            return None
        return self.counted(np.repeat(np.arange(len(self)), self.lengths()))

    def lengths(self) -> Int64[np.ndarray, " row"]:
        """Return the number of tokens of each sequence."""
        return np.array([len(tokens) for tokens in self.sequences], dtype=np.int64)


def random_batches(
    lengths: Int64[np.ndarray, " row"], batch_size: int, *, seed: int, epoch: int
) -> list[Int64[np.ndarray, " _"]]:
    """Split all rows of an epoch into random batches, each sorted by length.

    Batches are drawn regardless of length: length may correlate with the label, and a batch of
    similar lengths could then hold a single class. The last batch may be smaller; no row is
    left out.

    Parameters
    ----------
    lengths
        Number of tokens of each row.
    batch_size
        Number of rows of a batch.
    seed, epoch
        The draw is a function of both.
    """
    drawn = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    batches = [drawn[start : start + batch_size] for start in range(0, len(drawn), batch_size)]
    return [batch[np.argsort(lengths[batch], kind="stable")] for batch in batches]


def passes(lengths: Int64[np.ndarray, " row"], most: int) -> list[slice]:
    """Cut a batch, sorted by length, into passes of similar lengths to keep padding small.

    Parameters
    ----------
    lengths
        Number of tokens of each row, shortest first.
    most
        Largest number of rows of a pass.
    """
    starts = [0]
    for row, length in enumerate(lengths):
        shortest = lengths[starts[-1]]
        is_long = length > max(shortest * _LONGER_SHARE, shortest + _LONGER)
        if is_long or row - starts[-1] == most:
            starts.append(row)
    return [slice(*ends) for ends in pairwise([*starts, len(lengths)])]


class StepBatches(Dataset[Inputs]):
    """A data set whose example k is the batch of step k, sorted from the shortest row up.

    An epoch has one step per batch.

    Parameters
    ----------
    examples
        The training split.
    batch_size
        Number of rows of a step.
    n_epochs
        How often each row is read.
    seed
        Seed of every draw.
    reverse_complement_p
        Probability that a row is read as its reverse complement.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch_size: int,
        n_epochs: int,
        seed: int,
        reverse_complement_p: float = 0.0,
    ) -> None:
        self._examples = examples
        self._lengths = examples.lengths()
        self._batch_size = batch_size
        self._n_epochs = n_epochs
        self._seed = seed
        self._p = reverse_complement_p
        self.steps_per_epoch = -(-len(examples) // batch_size)  # rounded up
        self._epoch, self._batches = -1, [np.empty(0, dtype=np.int64)]

    def __len__(self) -> int:
        return self._n_epochs * self.steps_per_epoch

    def __getitem__(self, step: int) -> Inputs:
        """Read the batch of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = random_batches(
                self._lengths, self._batch_size, seed=self._seed, epoch=epoch
            )
        rows = self._batches[place]
        turned = np.random.default_rng([self._seed, epoch, place]).random(len(rows)) < self._p
        sequences = [self._examples.sequences[row] for row in rows]
        read = [
            DNA_VOCABULARY.reverse_complement(tokens) if turn else tokens
            for tokens, turn in zip(sequences, turned, strict=True)
        ]
        tokens, mask = pad(read)
        batch: Inputs = {"input_ids": tokens}
        if not mask.all():
            batch["attention_mask"] = mask
        labels = self._examples.labels
        if isinstance(labels, np.ndarray):
            return {**batch, "labels": torch.from_numpy(labels[rows])}
        of_bases = [
            labels[row][::-1] if turn else labels[row]
            for row, turn in zip(rows, turned, strict=True)
        ]
        return {**batch, "labels": pad_labels(of_bases)}


def pad_labels(labels: Sequence[BaseLabels]) -> Shaped[Tensor, "row length"]:
    """Pad labels of bases on the right, as `language.pad` does tokens; padding does not count."""
    is_class = np.issubdtype(labels[0].dtype, np.integer)
    shape = (len(labels), max(map(len, labels)))
    padded = np.full(shape, UNCOUNTED) if is_class else np.full(shape, np.nan, dtype=np.float32)
    for row, of_bases in enumerate(labels):
        padded[row, : len(of_bases)] = of_bases
    return torch.from_numpy(padded)
