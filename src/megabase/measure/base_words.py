r"""Predict the label of a base from its nearest bases: the baseline for per-base labels.

For a base with the word w of k bases centred on it, the prediction is the mean label of the
training bases with the same word, shrunk towards the overall mean as if `PRIOR` more bases
with the mean label had this word:

.. math:: \hat y(w) = \frac{\sum_{i:\,w_i=w} y_i + m\,\bar y}{n_w + m}
    :label: base-words

with y the indicator of each class, or the value; n_w the number of labelled bases with this
word; and m the prior. Where the word extends beyond the end of a sequence or contains N, the
prediction is :math:`\bar y`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from megabase.errors import InputError
from megabase.measure.words import N_BASES, Bases, word_codes

KS = (1, 3, 5, 7, 9)
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
    ks: Sequence[int] = KS,
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
