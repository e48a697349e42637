r"""The k-mer baselines: of whole sequences, and of the bases around a base.

Predict the label of a base from its nearest bases: the baseline for per-base labels.

For a base with the word w of k bases centred on it, the prediction is the mean label of the
training bases with the same word, shrunk towards the overall mean as if `PRIOR` more bases
with the mean label had this word:

.. math:: \hat y(w) = \frac{\sum_{i:\,w_i=w} y_i + m\,\bar y}{n_w + m}
    :label: base-words

with y the indicator of each class, or the value; n_w the number of labelled bases with this
word; and m the prior. Where the word extends beyond the end of a sequence or contains N, the
prediction is :math:`\bar y`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from megabase.errors import InputError
from megabase.metrics.classifiers import LabelledVectors, Probe, fit_probe
from megabase.metrics.task_metrics import Kind, Labels, Predictions

N_BASES = 4

Bases = UInt8[np.ndarray, " _"]
"""0, 1, 2, 3 for A, C, G, T, and 4 for any other letter."""


def context_codes(bases: Bases, order: int) -> Int[np.ndarray, " length"]:
    """Return the code of the `order` bases before each position; the nearest is the lowest digit.

    Bases before the start count as A, and unknown bases as T; see `known_before`.
    """
    codes = np.zeros(len(bases), dtype=np.int64)
    if order:
        codes[1:] = _codes_up_to(bases, order)[:-1]
    return codes


def _codes_up_to(bases: Bases, length: int) -> Int[np.ndarray, " length"]:
    """Return the code of the `length` bases that end at each position.

    As in exponentiation by squaring, words are doubled and extended by one base along the bits
    of `length`.
    """
    digits = np.minimum(bases, N_BASES - 1).astype(np.int64)
    codes, n_digits = digits, 1
    for bit in f"{length:b}"[1:]:
        codes, n_digits = _with_before(codes, codes, n_digits), 2 * n_digits
        if bit == "1":
            codes, n_digits = _with_before(digits, codes, 1), n_digits + 1
    return codes


def _with_before(
    codes: Int[np.ndarray, " length"], before: Int[np.ndarray, " length"], n_digits: int
) -> Int[np.ndarray, " length"]:
    """Join codes of `n_digits` digits with the codes `before` that end `n_digits` earlier."""
    joined = codes.copy()
    joined[n_digits:] |= before[:-n_digits] << 2 * n_digits
    return joined


def known_before(bases: Bases, order: int) -> Int[np.ndarray, " length"]:
    """Count the known bases directly before each position, up to `order`."""
    position = np.arange(len(bases) + 1)
    starts = np.where(np.append(4, bases) >= N_BASES, position, 0)  # just after an unknown base
    return np.minimum(position - np.maximum.accumulate(starts), order)[:-1]


def word_codes(
    bases: Bases, length: int
) -> tuple[Int[np.ndarray, " word"], Int[np.ndarray, " word"]]:
    """Return the code of every word of known bases, and the position at which each ends.

    Parameters
    ----------
    bases
        A sequence; words with an unknown base are left out.
    length
        Length of a word in bases, 1 to 31.

    Examples
    --------
    >>> codes, ends = word_codes(np.array([0, 1, 4, 3, 3], dtype=np.uint8), 2)
    >>> codes.tolist(), ends.tolist()
    ([1, 15], [1, 4])
    """
    order = length - 1
    is_whole: Bool[np.ndarray, " length"] = (known_before(bases, order) == order) & (
        bases < N_BASES
    )
    return _codes_up_to(bases, length)[is_whole], np.flatnonzero(is_whole)


def words_of_rows(
    sequences: Sequence[Bases], length: int
) -> tuple[Int[np.ndarray, " word"], Int[np.ndarray, " word"]]:
    """Return the code of every word of every sequence, and the index of its sequence.

    Parameters
    ----------
    sequences
        The sequences; words with an unknown base are left out.
    length
        Length of a word in bases, 1 to 31.

    Examples
    --------
    >>> codes, rows = words_of_rows([np.array([0, 1], dtype=np.uint8)] * 2, 2)
    >>> codes.tolist(), rows.tolist()
    ([1, 1], [0, 1])
    """
    # an unknown base between the sequences, so that no word spans two of them
    joined = np.concatenate([piece for each in sequences for piece in (each, _UNKNOWN)])
    codes, ends = word_codes(joined, length)
    return codes, np.repeat(np.arange(len(sequences)), [len(each) + 1 for each in sequences])[ends]


def batches(sequences: Sequence[Bases], *, most_rows: int) -> Iterator[slice]:
    """Yield slices of rows with at most `most_rows` rows and about 262,144 bases each.

    Parameters
    ----------
    sequences
        The sequences; a single longer one has a slice of its own.
    most_rows
        Greatest number of rows of a slice.
    """
    start = n_bases = 0
    for row, sequence in enumerate(sequences):
        if row > start and (row - start == most_rows or n_bases + len(sequence) > _BASES_AT_ONCE):
            yield slice(start, row)
            start, n_bases = row, 0
        n_bases += len(sequence)
    if len(sequences):
        yield slice(start, len(sequences))


def other_strand(codes: Int[np.ndarray, " word"], length: int) -> Int[np.ndarray, " word"]:
    """Return the codes of the reverse complements of words.

    Parameters
    ----------
    codes
        Codes of words, from `word_codes`.
    length
        Length of the words in bases, 1 to 31.

    Examples
    --------
    >>> other_strand(np.array([1]), 2)  # AC to GT
    array([11])
    """
    digits = ~codes.astype(np.uint64)  # a base and its complement sum to 3
    # Reverse the 32 digits of a code: swap digits in each half byte, half bytes in each byte,
    # then the bytes; the shift drops the digits beyond `length`.
    for width, low in ((2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F)):
        mask, shift = np.uint64(low), np.uint64(width)
        digits = (digits >> shift & mask) | ((digits & mask) << shift)
    return (digits.byteswap() >> np.uint64(64 - 2 * length)).astype(np.int64)


def reverse_complement(bases: Bases) -> Bases:
    """Return the other strand in its 5' to 3' direction; unknown bases stay unknown."""
    return _COMPLEMENT[bases[::-1]]


_BASES_AT_ONCE = 1 << 18  # small enough for the CPU caches
_UNKNOWN = np.array([N_BASES], dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)


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
    """Sequences and their labels, shaped as in `task_metrics.metrics_of`."""

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
        """Return probabilities or values, shaped as in `task_metrics.metrics_of`."""
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
        Kind of task; see `task_metrics.metrics_of`.
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
            LabelledVectors(kmer_frequencies(sequences, k, canonical=canonical), labels)
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
        Kind of task; see `task_metrics.metrics_of`.
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


ODD_KS = (1, 3, 5, 7, 9)
"""The word lengths that are tried, in bases."""

PRIOR = 10.0
"""Number of bases with the mean label that are added to each word."""

BaseLabels = Sequence[Shaped[np.ndarray, " _"]] | Shaped[np.ndarray, "row base"]
"""The labels of the bases of each sequence: classes (negative for an unlabelled base) or values
(NaN for an unlabelled base)."""


@dataclass(frozen=True)
class BaseWords:
    """The mean label of each word.

    Parameters
    ----------
    k
        Length of a word in bases, an odd number.
    means
        The fraction of each class, or the mean value, for each word.
    mean
        The same over all training bases.
    """

    k: int
    means: Float[np.ndarray, "word column"]
    mean: Float[np.ndarray, " column"]

    def predict(self, sequences: Sequence[Bases]) -> Float[np.ndarray, "base ..."]:
        """Return probabilities (base, class) or values (base,) for all sequences, concatenated."""
        answers = np.concatenate([self._of_one(sequence) for sequence in sequences])
        return answers if len(self.mean) > 1 else answers[:, 0]

    def _of_one(self, sequence: Bases) -> Float[np.ndarray, "base column"]:
        answers = np.tile(self.mean, (len(sequence), 1))
        codes, ends = word_codes(sequence, self.k)
        answers[ends - self.k // 2] = self.means[codes]
        return answers


def fit_base_words(
    train: tuple[Sequence[Bases], BaseLabels],
    validation: tuple[Sequence[Bases], BaseLabels],
    *,
    n_classes: int = 0,
    ks: Sequence[int] = ODD_KS,
) -> BaseWords:
    """Compute the mean label of each word (Eq. base-words), with the k best on validation data.

    Parameters
    ----------
    train, validation
        Sequences and the labels of their bases.
    n_classes
        Number of classes; 0 if labels are values.
    ks
        Odd word lengths to try. The one with the lowest cross-entropy, or squared error, is
        kept; in a tie, the first.

    Raises
    ------
    InputError
        If `ks` is empty or contains an even length.
    """
    if not ks or any(k % 2 == 0 for k in ks):
        raise InputError(f"expected at least one word length, each odd; got {tuple(ks)}")
    fitted = [_fit(*train, k, n_classes) for k in ks]
    return min(fitted, key=lambda each: _error(each, *validation, n_classes))


def _fit(sequences: Sequence[Bases], labels: BaseLabels, k: int, n_classes: int) -> BaseWords:
    width = max(n_classes, 1)
    sums, counts = np.zeros((N_BASES**k, width)), np.zeros(N_BASES**k)
    total, n_total = np.zeros(width), 0
    for sequence, of_bases in zip(sequences, labels, strict=True):
        targets, is_counted = _targets(of_bases, n_classes)
        total, n_total = total + targets[is_counted].sum(axis=0), n_total + is_counted.sum()
        codes, ends = word_codes(sequence, k)
        places = ends - k // 2
        codes, places = codes[is_counted[places]], places[is_counted[places]]
        np.add.at(sums, codes, targets[places])
        np.add.at(counts, codes, 1)
    mean = total / max(n_total, 1)
    return BaseWords(k, (sums + PRIOR * mean) / (counts + PRIOR)[:, None], mean)


def _error(
    fitted: BaseWords, sequences: Sequence[Bases], labels: BaseLabels, n_classes: int
) -> float:
    answers = fitted.predict(sequences)
    targets, is_counted = _targets(np.concatenate(list(labels)), n_classes)
    if not n_classes:
        return float(np.mean((answers - targets[:, 0])[is_counted] ** 2))
    of_truth = (answers * targets).sum(axis=1)[is_counted]
    return float(-np.log(np.maximum(of_truth, 1e-30)).mean())


def _targets(
    labels: Shaped[np.ndarray, " base"], n_classes: int
) -> tuple[Float[np.ndarray, "base column"], Bool[np.ndarray, " base"]]:
    """Return the indicator of each class, or the value, and which bases are labelled."""
    if n_classes:
        is_counted = labels >= 0
        return np.eye(n_classes)[np.maximum(labels, 0)] * is_counted[:, None], is_counted
    is_counted = ~np.isnan(labels)
    return np.nan_to_num(labels.astype(np.float64))[:, None], is_counted
