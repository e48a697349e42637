r"""What the nearest bases tell of a base: the baseline of tasks with a label for each.

Of a base with the word w of k bases around it, the answer is the mean label of training
bases with the same word, drawn towards the mean of all as if `PRIOR` bases more had it:

.. math:: \hat y(w) = \frac{\sum_{i:\,w_i=w} y_i + m\,\bar y}{n_w + m}
    :label: base-words

with y the indicator of each class, or the value, n_w the bases that count with this word,
and m the prior. Where the word goes over the end of a sequence or over N, it is
:math:`\bar y`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from megabase.errors import InputError
from megabase.measure.words import N_BASES, Bases, word_codes

KS = (1, 3, 5, 7, 9)
"""The lengths of words that are tried."""

PRIOR = 10.0
"""How many bases with the mean label each word starts with."""

BaseLabels = Sequence[Shaped[np.ndarray, " _"]] | Shaped[np.ndarray, "row base"]
"""For each sequence the labels of its bases: classes, below 0 where a base does not count; or
values, NaN there."""


@dataclass(frozen=True)
class BaseWords:
    """The mean label of each word.

    Parameters
    ----------
    k
        Bases of a word, an odd number.
    means
        Of each word: the share of each class, or the one value.
    mean
        Of all training bases.
    """

    k: int
    means: Float[np.ndarray, "word column"]
    mean: Float[np.ndarray, " column"]

    def predict(self, sequences: Sequence[Bases]) -> Float[np.ndarray, "base ..."]:
        """Answer for the bases of all sequences, one after the other: (base, class), or values."""
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
    """Take the mean label of each word (Eq. base-words), with the k that validation likes best.

    Parameters
    ----------
    train, validation
        Sequences and the labels of their bases.
    n_classes
        0: labels are values.
    ks
        Odd lengths; of equals the first is kept. The best has the least cross-entropy, or
        squared error.

    Raises
    ------
    InputError
        If a length is even, or there is none.
    """
    if not ks or any(k % 2 == 0 for k in ks):
        raise InputError(f"words around a base have an odd number of bases; got {tuple(ks)}")
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
    """Give the indicator of each class, or the value, and which bases count."""
    if n_classes:
        is_counted = labels >= 0
        return np.eye(n_classes)[np.maximum(labels, 0)] * is_counted[:, None], is_counted
    is_counted = ~np.isnan(labels)
    return np.nan_to_num(labels.astype(np.float64))[:, None], is_counted
