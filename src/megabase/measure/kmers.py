"""Baselines of every classifier: a model of k-mer counts, and the majority class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from megabase.errors import InputError
from megabase.measure.metrics import Kind, Labels, Predictions
from megabase.measure.probe import Probe, Rows, fit_probe
from megabase.measure.words import N_BASES, Bases, batches, other_strand, words_of_rows

MOST_K = 6
"""The longest word in bases: 4,096 columns, or 2,080 if strands are combined."""

KS = (2, 4, 6)
"""The word lengths that the baseline tries, in bases."""

Constant = Float[np.ndarray, "predicted *column"]
"""Equal rows: probabilities (row, class) or (row, label), or values shaped as the labels."""

_CELLS_AT_ONCE = 1 << 24


def kmer_counts(
    sequences: Sequence[Bases], k: int, *, canonical: bool = True
) -> Float[np.ndarray, "sequence kmer"]:
    """Count the words of k bases in each sequence.

    Parameters
    ----------
    sequences
        Sequences of any lengths; words with letters other than A C G T are not counted.
    k
        Length of a word, from 1 to 6.
    canonical
        Whether a word and its reverse complement share a column, so that both strands of a
        sequence have the same counts.

    Returns
    -------
    counts
        float32; the columns are named by `kmer_names`.

    Raises
    ------
    InputError
        If `k` is not from 1 to 6.
    """
    columns, n_columns = _columns(k, canonical)
    counts = np.zeros((len(sequences), n_columns), dtype=np.float32)
    for rows in batches(sequences, most_rows=max(1, _CELLS_AT_ONCE // n_columns)):
        part = counts[rows]
        codes, row = words_of_rows(sequences[rows], k)
        # one bincount for the whole table: cell (row, column) has index row * n_columns + column
        cells = np.bincount(row * n_columns + columns[codes], minlength=part.size)
        part[:] = cells.reshape(part.shape)
    return counts


def kmer_frequencies(
    sequences: Sequence[Bases], k: int, *, canonical: bool = True
) -> Float[np.ndarray, "sequence kmer"]:
    """Return `kmer_counts` divided by the number of words of each sequence; zeros if it has none.

    Parameters
    ----------
    sequences
        Sequences of any lengths; words with letters other than A C G T are not counted.
    k
        Length of a word, from 1 to 6.
    canonical
        Whether a word and its reverse complement share a column.

    Raises
    ------
    InputError
        If `k` is not from 1 to 6.
    """
    counts = kmer_counts(sequences, k, canonical=canonical)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def kmer_names(k: int, *, canonical: bool = True) -> list[str]:
    """Return the word of each column of `kmer_counts`, for the same `k` and `canonical`.

    Examples
    --------
    >>> kmer_names(1), kmer_names(1, canonical=False)
    (['A', 'C'], ['A', 'C', 'G', 'T'])
    """
    columns, n_columns = _columns(k, canonical)
    firsts = [int(np.argmax(columns == column)) for column in range(n_columns)]
    return ["".join("ACGT"[code >> 2 * i & 3] for i in reversed(range(k))) for code in firsts]


class Sequences(NamedTuple):
    """Sequences and their labels, shaped as in `metrics.metrics_of`."""

    sequences: Sequence[Bases]
    labels: Labels


@dataclass(frozen=True)
class KmerBaseline:
    """Logistic regression, or ridge regression for values, on k-mer frequencies.

    Parameters
    ----------
    k
        Length of a word in bases.
    canonical
        Whether a word and its reverse complement share a column.
    probe
        The fitted model with its chosen setting.
    """

    k: int
    canonical: bool
    probe: Probe

    def predict(self, sequences: Sequence[Bases]) -> Predictions:
        """Return probabilities or values, shaped as in `metrics.metrics_of`."""
        return self.probe.predict(kmer_frequencies(sequences, self.k, canonical=self.canonical))


def fit_kmers(
    kind: Kind,
    train: Sequences,
    validation: Sequences,
    *,
    n_classes: int = 0,
    ks: Sequence[int] = KS,
    canonical: bool = True,
) -> KmerBaseline:
    """Fit the baseline to training rows, with the k and C that are best on validation rows.

    Parameters
    ----------
    kind
        Kind of task; see `metrics.metrics_of`.
    train
        Rows to fit. Memory: 8 bytes for each sequence and column; for k = 6 about 17 kB a
        sequence.
    validation
        Rows on which k and C are chosen.
    n_classes
        Number of classes of a binary or multiclass task.
    ks
        Word lengths to try, from 1 to 6; in a tie, the first is kept.
    canonical
        Whether a word and its reverse complement share a column.

    Raises
    ------
    InputError
        If `ks` is empty or contains an invalid length, scikit-learn is not installed, training
        rows have one class only, or the validation labels do not vary.
    """
    best: KmerBaseline | None = None
    for k in ks:
        of_train, of_validation = (
            Rows(kmer_frequencies(sequences, k, canonical=canonical), labels)
            for sequences, labels in (train, validation)
        )
        probe = fit_probe("linear", kind, of_train, of_validation, n_classes=n_classes, seed=0)
        if best is None or probe.validation_score > best.probe.validation_score:
            best = KmerBaseline(k, canonical, probe)
    if best is None:
        raise InputError("no word length k was given; expected at least one")
    return best


def constant_predictions(
    kind: Kind, labels: Labels, n_rows: int, *, n_classes: int = 0
) -> Constant:
    """Predict the class frequencies, or the mean, of the training labels for every row.

    Parameters
    ----------
    kind
        Kind of task; see `metrics.metrics_of`.
    labels
        Labels of the training rows.
    n_rows
        Number of rows to predict.
    n_classes
        Number of classes of a binary or multiclass task.

    Examples
    --------
    >>> constant_predictions("binary", np.array([1, 1, 1, 0]), 1, n_classes=2)
    array([[0.25, 0.75]])
    """
    if kind in ("binary", "multiclass"):
        mean = np.bincount(labels, minlength=n_classes) / len(labels)
    else:
        mean = labels.mean(axis=0, dtype=np.float64)
    return np.tile(mean, (n_rows, *[1] * mean.ndim)) if mean.ndim else np.full(n_rows, mean)


def _columns(k: int, canonical: bool) -> tuple[Int[np.ndarray, " code"], int]:
    """Return the column of each word code, and the number of columns."""
    if not 1 <= k <= MOST_K:
        raise InputError(f"k must be from 1 to {MOST_K}, got {k}")
    codes = np.arange(N_BASES**k)
    if canonical:
        firsts, columns = np.unique(np.minimum(codes, other_strand(codes, k)), return_inverse=True)
        return columns, len(firsts)
    return codes, len(codes)
