"""Leaks: sequences shared by training and test, and labels predictable from simple numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from megabase.errors import InputError
from megabase.metrics.bootstrap import ConfidenceInterval
from megabase.metrics.kmers import (
    N_BASES,
    Bases,
    Sequences,
    batches,
    constant_predictions,
    other_strand,
    reverse_complement,
    words_of_rows,
)
from megabase.metrics.task_metrics import NAMES, Kind, Labels, intervals_of, metrics_of

WORD = 31
"""Length in bases of the words that define near repeats."""

NEAR = 0.5
"""Least fraction of shared words that makes a test row a near repeat."""

_MOST_BINS, _ROWS_PER_BIN = 32, 30


@dataclass(frozen=True)
class Repeats:
    """Test rows that also occur in the training split.

    Parameters
    ----------
    n
        Number of such rows.
    share
        Their fraction of all test rows.
    n_other_label
        Number of them whose label differs from that of a training row they repeat.
    """

    n: int
    share: float
    n_other_label: int


@dataclass(frozen=True)
class Shortcut:
    """How well one number of a sequence predicts its label.

    Parameters
    ----------
    value
        The metric named by `LeakReport.metric` on the test rows, for a model of that number only.
    interval
        Its 95 % bootstrap interval; None if it is undefined.
    accuracy
        Accuracy of the same predictions; None if labels are not classes.
    tells
        Whether it is better than chance: the whole interval lies above the value of chance.
    """

    value: float
    interval: ConfidenceInterval | None
    accuracy: float | None
    tells: bool


@dataclass(frozen=True)
class LeakReport:
    """Repeats and shortcuts that make a test easier than it looks.

    Parameters
    ----------
    n_train, n_test
        Number of rows.
    exact
        Repeats letter by letter; lower case counts as upper case, ambiguity codes as N.
    reverse_complement
        Repeats of the other strand that are not exact repeats.
    n_near
        Number of other test rows with at least half of their 31-base words in the training
        split, on either strand and in any row.
    n_without_words
        Number of test rows without such a word (too short, or too many N); never near repeats.
    metric
        Metric of the shortcuts: auroc, auroc_median or r2.
    shortcuts
        The shortcuts ``length``, ``gc`` (fraction of G and C among known bases) and ``n``
        (fraction of unknown bases).
    majority_accuracy
        Accuracy of the most frequent training class; None if labels are not classes.
    """

    n_train: int
    n_test: int
    exact: Repeats
    reverse_complement: Repeats
    n_near: int
    n_without_words: int
    metric: str
    shortcuts: Mapping[str, Shortcut]
    majority_accuracy: float | None

    @property
    def is_leaky(self) -> bool:
        """Whether a test row repeats training rows, whole or in half of its words, on a strand."""
        return bool(self.exact.n or self.reverse_complement.n or self.n_near)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""
        found = asdict(self) | {"is_leaky": self.is_leaky}
        found["shortcuts"] = {
            name: asdict(each)
            | {
                "value": each.value if np.isfinite(each.value) else None,
                "interval": each.interval and list(each.interval),
            }
            for name, each in self.shortcuts.items()
        }
        return found

    def __str__(self) -> str:
        share = self.n_near / self.n_test
        lines = [
            f"{self.n_train:,} training and {self.n_test:,} test rows",
            _line("exact repeats of training rows", self.exact),
            _line("reverse complements of training rows", self.reverse_complement),
            f"other near repeats (half of their {WORD}-base words): {self.n_near:,} "
            f"({share:.2%})"
            + (f"; {self.n_without_words:,} rows have no word" if self.n_without_words else ""),
        ]
        for name, each in self.shortcuts.items():
            interval = "" if each.interval is None else " [{:.3f}, {:.3f}]".format(*each.interval)
            accuracy = "" if each.accuracy is None else f", accuracy {each.accuracy:.3f}"
            verdict = "predicts labels" if each.tells else "predicts nothing"
            lines.append(
                f"{name} alone: {self.metric} {each.value:.3f}{interval}{accuracy}; {verdict}"
            )
        if self.majority_accuracy is not None:
            lines.append(f"the most frequent class: accuracy {self.majority_accuracy:.3f}")
        return "\n".join(lines)


def _line(name: str, repeats: Repeats) -> str:
    other = f", {repeats.n_other_label:,} of them with another label" if repeats.n else ""
    return f"{name}: {repeats.n:,} ({repeats.share:.2%}){other}"


def find_leaks(
    kind: Kind,
    train: Sequences,
    test: Sequences,
    *,
    n_classes: int = 0,
    seed: int = 0,
    n_replicates: int = 1000,
) -> LeakReport:
    """Count repeats of training rows in the test split, and measure shortcuts on it.

    Parameters
    ----------
    kind
        Kind of task; see `task_metrics.metrics_of`.
    train, test
        The splits with their labels.
    n_classes
        Number of classes of a binary or multiclass task.
    seed
        Seed of the bootstrap of the shortcuts.
    n_replicates
        Number of bootstrap replicates.

    Raises
    ------
    InputError
        If a split is empty, or has not one label for each sequence.

    Notes
    -----
    A shortcut predicts the mean label (the frequency of each class) of the training rows in
    the same bin of its number; there are up to 32 bins with equally many rows. Memory: about
    24 bytes for each training base.
    """
    for name, part in (("training", train), ("test", test)):
        if not len(part.sequences) or len(part.sequences) != len(part.labels):
            raise InputError(
                f"the {name} split needs rows, each with a label; it has "
                f"{len(part.sequences):,} sequences and {len(part.labels):,} labels"
            )
    which = _repeated_on(train, test)
    shares = shared_words(train.sequences, test.sequences)
    is_class = kind in ("binary", "multiclass")
    metric = next(name for name in NAMES[kind] if name in ("auroc", "auroc_median", "r2"))
    majority: float | None = None
    if is_class:
        constant = constant_predictions(kind, train.labels, len(test.labels), n_classes=n_classes)
        majority = metrics_of(kind, test.labels, constant)["accuracy"]
    return LeakReport(
        n_train=len(train.labels),
        n_test=len(test.labels),
        exact=_count_repeats([each for strand, each in which if strand == 0], len(which)),
        reverse_complement=_count_repeats(
            [each for strand, each in which if strand == 1], len(which)
        ),
        n_near=sum(
            strand is None and share >= NEAR
            for (strand, _), share in zip(which, shares.tolist(), strict=True)
        ),
        n_without_words=int(np.count_nonzero(np.isnan(shares))),
        metric=metric,
        shortcuts=_shortcuts(kind, metric, train, test, n_classes, seed, n_replicates),
        majority_accuracy=majority,
    )


def shared_words(
    train: Sequence[Bases], test: Sequence[Bases], *, length: int = WORD
) -> Float[np.ndarray, " test"]:
    """Return the fraction of each test sequence's words that occur in training, on any strand.

    Parameters
    ----------
    train, test
        Sequences of any lengths; at least one for training.
    length
        Length of a word in bases, up to 31.

    Returns
    -------
    shares
        NaN if a sequence has no word without unknown bases.
    """
    known = np.unique(
        np.concatenate(
            [np.unique(_canonical_words(train[rows], length)[0]) for rows in _batches(train)]
        )
    )
    shares = np.full(len(test), np.nan)
    for part in _batches(test):
        words, rows = _canonical_words(test[part], length)
        n_words = np.bincount(rows, minlength=len(shares[part]))
        n_shared = np.bincount(rows[_among(words, known)], minlength=len(n_words))
        has_any = n_words > 0
        shares[part][has_any] = n_shared[has_any] / n_words[has_any]
    return shares


def _among(
    words: Int[np.ndarray, " word"], known: Int[np.ndarray, " known"]
) -> Bool[np.ndarray, " word"]:
    """Return which words are among sorted known words; unlike numpy's isin, do not sort again."""
    if not len(known):
        return np.zeros(len(words), dtype=np.bool_)
    places = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return known[places] == words


def _batches(sequences: Sequence[Bases]) -> Iterator[slice]:
    return batches(sequences, most_rows=len(sequences))


def _canonical_words(
    sequences: Sequence[Bases], length: int
) -> tuple[Int[np.ndarray, " word"], Int[np.ndarray, " word"]]:
    """Return the code of every word, equal for both strands, and the row of each."""
    codes, rows = words_of_rows(sequences, length)
    return np.minimum(codes, other_strand(codes, length)), rows


def _repeated_on(train: Sequences, test: Sequences) -> list[tuple[int | None, bool]]:
    """Return for each test row the strand of its repeat (0, 1 or None), and if labels differ."""
    labels_of: dict[bytes, set[bytes]] = {}
    for sequence, label in zip(train.sequences, train.labels, strict=True):
        labels_of.setdefault(sequence.tobytes(), set()).add(label.tobytes())
    found: list[tuple[int | None, bool]] = []
    for sequence, label in zip(test.sequences, test.labels, strict=True):
        keys = sequence.tobytes(), reverse_complement(sequence).tobytes()
        strand = next((index for index, key in enumerate(keys) if key in labels_of), None)
        differs = strand is not None and labels_of[keys[strand]] != {label.tobytes()}
        found.append((strand, differs))
    return found


def _count_repeats(differs: Sequence[bool], n_test: int) -> Repeats:
    return Repeats(len(differs), len(differs) / n_test, sum(differs))


def _shortcuts(
    kind: Kind,
    metric: str,
    train: Sequences,
    test: Sequences,
    n_classes: int,
    seed: int,
    n_replicates: int,
) -> dict[str, Shortcut]:
    targets = _targets(kind, train.labels, n_classes)
    nothing = 0.0 if kind == "regression" else 0.5
    found: dict[str, Shortcut] = {}
    of_parts = zip(_NUMBERS, _numbers(train.sequences), _numbers(test.sequences), strict=True)
    for name, of_train, of_test in of_parts:
        shape = test.labels.shape if kind == "regression" else (len(of_test), -1)
        predictions = _mean_by_bin(of_train, targets, of_test).reshape(shape)
        metrics = metrics_of(kind, test.labels, predictions)
        interval = intervals_of(
            kind, test.labels, predictions, seed=seed, n_replicates=n_replicates
        )[metric]
        tells = interval is not None and interval.low > nothing
        found[name] = Shortcut(metrics[metric], interval, metrics.get("accuracy"), tells)
    return found


_NUMBERS = ("length", "gc", "n")


def _numbers(sequences: Sequence[Bases]) -> Float[np.ndarray, "3 row"]:
    """Return length, fraction of G and C among known bases, and fraction of unknown bases."""
    counts = np.array([np.bincount(each, minlength=N_BASES + 1) for each in sequences])
    length, unknown = counts.sum(axis=1), counts[:, N_BASES]
    gc = counts[:, 1:3].sum(axis=1) / np.maximum(length - unknown, 1)  # bases 1 and 2: C and G
    return np.array([length, gc, unknown / np.maximum(length, 1)])


def _targets(kind: Kind, labels: Labels, n_classes: int) -> Float[np.ndarray, "row target"]:
    if kind in ("binary", "multiclass"):
        return np.eye(n_classes)[labels]
    return labels.reshape(len(labels), -1).astype(np.float64)


def _mean_by_bin(
    numbers: Float[np.ndarray, " train"],
    targets: Float[np.ndarray, "train target"],
    of_test: Float[np.ndarray, " test"],
) -> Float[np.ndarray, "test target"]:
    """Predict the mean target of training rows in the same bin, shrunk to the overall mean."""
    n_bins = int(np.clip(len(numbers) // _ROWS_PER_BIN, 2, _MOST_BINS))
    edges = np.unique(np.quantile(numbers, np.arange(1, n_bins) / n_bins, method="lower"))
    bins, mean = np.searchsorted(edges, numbers), targets.mean(axis=0)
    sums = np.tile(mean, (len(edges) + 1, 1))  # one extra row per bin
    np.add.at(sums, bins, targets)
    means = sums / (1 + np.bincount(bins, minlength=len(edges) + 1))[:, None]
    return means[np.searchsorted(edges, of_test)]
