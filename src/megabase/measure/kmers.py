"""The k-mer model that stands beside every classifier, and the majority below both."""

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
"""Bases of a word: 4,096 columns, 2,080 of them if strands are one."""

KS = (2, 4, 6)
"""The lengths of words that a baseline tries."""

Constant = Float[np.ndarray, "predicted *column"]
"""One row many times: probabilities (row, class) or (row, label), or values as labels are."""

_CELLS_AT_ONCE = 1 << 24


def kmer_counts(
    sequences: Sequence[Bases], k: int, *, canonical: bool = True
) -> Float[np.ndarray, "sequence kmer"]:
    """Count the words of k bases in each sequence.

    Parameters
    ----------
    sequences
        Of any lengths; words with what is none of A C G T are not counted.
    k
        From 1 to 6.
    canonical
        Whether a word and its reverse complement are one column, so that a sequence and
        its other strand have the same counts.

    Returns
    -------
    counts
        float32; the columns are named by `kmer_names`.

    Raises
    ------
    InputError
        If k is none of 1 to 6.
    """
    columns, n_columns = _columns(k, canonical)
    counts = np.zeros((len(sequences), n_columns), dtype=np.float32)
    for rows in batches(sequences, most_rows=max(1, _CELLS_AT_ONCE // n_columns)):
        part = counts[rows]
        codes, row = words_of_rows(sequences[rows], k)
        cells = np.bincount(row * n_columns + columns[codes], minlength=part.size)
        part[:] = cells.reshape(part.shape)
    return counts


def kmer_frequencies(
    sequences: Sequence[Bases], k: int, *, canonical: bool = True
) -> Float[np.ndarray, "sequence kmer"]:
    """Give `kmer_counts` as shares of all words of a sequence; zeros where it has none."""
    counts = kmer_counts(sequences, k, canonical=canonical)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def kmer_names(k: int, *, canonical: bool = True) -> list[str]:
    """Name the columns of `kmer_counts`.

    Examples
    --------
    >>> kmer_names(1), kmer_names(1, canonical=False)
    (['A', 'C'], ['A', 'C', 'G', 'T'])
    """
    columns, n_columns = _columns(k, canonical)
    firsts = [int(np.argmax(columns == column)) for column in range(n_columns)]
    return ["".join("ACGT"[code >> 2 * i & 3] for i in reversed(range(k))) for code in firsts]


class Sequences(NamedTuple):
    """Sequences and their labels, as `metrics.metrics_of` has them."""

    sequences: Sequence[Bases]
    labels: Labels


@dataclass(frozen=True)
class KmerBaseline:
    """Logistic regression, or ridge for values, on the frequencies of k-mers.

    Parameters
    ----------
    k, canonical
        As of `kmer_counts`.
    probe
        The fitted model, with the setting that was chosen.
    """

    k: int
    canonical: bool
    probe: Probe

    def predict(self, sequences: Sequence[Bases]) -> Predictions:
        """Give probabilities or values, shaped as `metrics.metrics_of` takes them."""
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
    """Fit the baseline to training rows; k and C are those that validation rows like best.

    Parameters
    ----------
    kind, n_classes
        As of `probe.fit_probe`.
    train, validation
        What is learned from, and what is chosen on. Memory: 4 bytes for each training
        sequence and word, twice; for k of 6 some 17 kB a sequence.
    ks
        The lengths tried; of equals the first is kept.
    canonical
        As of `kmer_counts`.

    Raises
    ------
    InputError
        As `probe.fit_probe` and `kmer_counts` do.
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
        raise InputError("name one k at least")
    return best


def constant_predictions(
    kind: Kind, labels: Labels, n_rows: int, *, n_classes: int = 0
) -> Constant:
    """Predict what training labels alone tell: the shares of the classes, or the mean.

    Parameters
    ----------
    kind, n_classes
        As of `probe.fit_probe`.
    labels
        Of the training rows.
    n_rows
        How many rows are predicted, all alike.

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
    """Give the column of each code, and how many there are."""
    if not 1 <= k <= MOST_K:
        raise InputError(f"k must be from 1 to {MOST_K}, got {k}")
    codes = np.arange(N_BASES**k)
    if canonical:
        firsts, columns = np.unique(np.minimum(codes, other_strand(codes, k)), return_inverse=True)
        return columns, len(firsts)
    return codes, len(codes)
