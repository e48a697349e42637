"""The metrics of each kind of task: rankings, correlations, and their bootstrap intervals.

They are those of scikit-learn and scipy, to rounding, which the tests check. They are written
here because the bootstrap computes them a thousand times, and fine-tuning without any extra. One
replicate takes 1.2 ms for 10,000 rows of ten classes, and 163 ms by scikit-learn, on two cores
of an AMD EPYC; from 1,000 to 100,000 rows the ratio is 27 to 560 for classes, and 3 to 53 for
values, whose rows must be repeated for scipy: `benchmarks/task_metrics.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from megabase.errors import InputError
from megabase.metrics.bootstrap import (
    ConfidenceInterval,
    bootstrap,
    bootstrap_all,
    pearson,
    spearman,
)

Weights = Float[np.ndarray, " row"]
"""The number of times each row counts."""


class Curve(NamedTuple):
    """Points of a curve, one for each threshold, starting with the highest."""

    x: Float[np.ndarray, " point"]
    y: Float[np.ndarray, " point"]


class Ranking:
    """Rows sorted once by their scores, to be measured repeatedly with different weights.

    Parameters
    ----------
    is_true
        Which rows are positive.
    scores
        Finite scores; higher means more positive, and equal scores share a threshold.

    Source
    ------
    Area under ROC as the probability that a positive row scores above a negative one, ties
    counting half: Hanley & McNeil 1982, Radiology 143:29. Area under precision-recall as
    average precision, without interpolation: Davis & Goadrich 2006, ICML 2006:233.
    """

    def __init__(
        self, is_true: Bool[np.ndarray, " row"], scores: Float[np.ndarray, " row"]
    ) -> None:
        self._is_true = is_true.astype(np.float64)
        thresholds, places = np.unique(scores, return_inverse=True)
        self._n_places = len(thresholds)
        self._places = len(thresholds) - 1 - places  # the highest score first

    def _counts(self, weights: Weights | None) -> tuple[np.ndarray, np.ndarray]:
        """Count positives and negatives at each threshold, the highest first."""
        of_true = self._is_true if weights is None else self._is_true * weights
        of_all = np.bincount(self._places, weights=weights, minlength=self._n_places)
        true = np.bincount(self._places, weights=of_true, minlength=self._n_places)
        return true, of_all - true

    def areas(self, weights: Weights | None = None) -> tuple[float, float]:
        """Return the areas under ROC and precision-recall; NaN if all rows have one truth value.

        Parameters
        ----------
        weights
            Number of times each row counts; None means once.
        """
        true, false = self._counts(weights)
        n_true, n_false = true.sum(), false.sum()
        if n_true <= 0 or n_false <= 0:
            return float("nan"), float("nan")
        above, found = np.cumsum(true), np.cumsum(true + false)
        # a negative is ranked below the positives above it and half of those at its threshold
        auroc = float(np.dot(false, above - true / 2) / (n_true * n_false))
        precision = above / np.maximum(found, 1e-300)
        return auroc, float(np.dot(true, precision) / n_true)

    def roc(self) -> Curve:
        """Return false positive rate (x) and true positive rate (y), from (0, 0) to (1, 1)."""
        true, false = self._counts(None)
        return Curve(_share_from_zero(false), _share_from_zero(true))

    def precision_recall(self) -> Curve:
        """Return recall (x) and precision (y) at each threshold."""
        true, false = self._counts(None)
        return Curve(_share_from_zero(true)[1:], np.cumsum(true) / np.cumsum(true + false))


def _share_from_zero(counts: Float[np.ndarray, " place"]) -> Float[np.ndarray, " point"]:
    """Return cumulative sums from 0, as a fraction of the total; NaN if the total is 0."""
    sums = np.cumsum(np.concatenate([[0.0], counts]))
    return sums / sums[-1] if sums[-1] > 0 else np.full(len(sums), np.nan)


Kind = Literal["binary", "multiclass", "multilabel", "regression"]

Labels = Shaped[np.ndarray, "row *label"]
"""Classes (row,) as integers; multilabel truths (row, label); values (row,) or (row, target)."""

Predictions = Float[np.ndarray, "row *column"]
"""Probabilities (row, class) or (row, label); values shaped as the labels."""

NAMES: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("accuracy", "mcc", "f1_macro", "f1_weighted", "auroc", "auprc"),
    "multiclass": ("accuracy", "mcc", "f1_macro", "f1_weighted", "auroc", "auprc"),
    "multilabel": ("auroc_median", "auprc_median", "n_labels", "n_labels_left_out"),
    "regression": ("mse", "r2", "pearson", "spearman"),
}
"""The metrics of each kind; higher is better, except for ``mse`` and the counts."""

_MANY_ROWS = 100_000

_Measure = Callable[[Weights], dict[str, float]]


def metrics_of(
    kind: Kind,
    labels: Labels,
    predictions: Predictions,
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, float]:
    """Compute the metrics of predictions, by the names of `NAMES`.

    Parameters
    ----------
    kind
        binary: labels 0 or 1, probabilities of two classes. multiclass: labels from 0,
        probabilities (row, class). multilabel: truths and probabilities (row, label).
        regression: labels and predictions are values (row,) or (row, target).
    labels, predictions
        Labels and predictions, shaped as `kind` requires.
    groups
        For multilabel only: the columns of each named group, which gets the additional metrics
        ``auroc_median_NAME`` and ``auprc_median_NAME``.

    Returns
    -------
    metrics
        The predicted class is the most probable one; in a tie, the first. ``mcc`` is
        Matthews's coefficient, for more than two classes Gorodkin's R_K; 0 if only one class
        is predicted. ``f1_macro`` is over the classes that occur in labels or predictions.
        ``auroc`` and ``auprc`` (average precision) are those of class 1; for more classes the
        mean of each class against the rest, over the classes that some but not all rows have.
        Multilabel columns that do not vary are left out of the medians and counted. ``r2``,
        ``pearson`` and ``spearman`` are means over targets. Undefined metrics are NaN: the
        ranking metrics and ``mcc`` if all labels are equal, and the correlation with a
        constant.

    Raises
    ------
    InputError
        If there are no rows, shapes do not fit the kind, a label is not a class, or a value
        is not finite.

    Examples
    --------
    >>> found = metrics_of("regression", np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0]))
    >>> round(found["mse"], 3), found["spearman"]
    (1.333, 1.0)
    """
    return measure_of(kind, labels, predictions, groups)(np.ones(len(labels)))


def intervals_of(
    kind: Kind,
    labels: Labels,
    predictions: Predictions,
    *,
    seed: int,
    groups: Mapping[str, Sequence[int]] | None = None,
    units: Int[np.ndarray, " row"] | None = None,
    level: float = 0.95,
    n_replicates: int | None = None,
) -> dict[str, ConfidenceInterval | None]:
    """Compute the bootstrap percentile interval of each metric over rows.

    Parameters
    ----------
    kind
        Kind of task; see `metrics_of`.
    labels, predictions
        Labels and predictions, shaped as `kind` requires.
    seed
        Seed of the random draws, which are the same for all metrics.
    groups
        For multilabel only: the columns of each named group.
    units
        An integer for each row: rows that are not independent, such as the bases of one
        sequence, have the same one and are drawn together. None draws each row by itself.
    level
        Fraction of replicates inside the interval.
    n_replicates
        Number of replicates; None means 1,000, or 200 for more than 100,000 rows.

    Returns
    -------
    intervals
        None for fewer than ten units, or if the metric is undefined in some replicate.
    """
    measure = measure_of(kind, labels, predictions, groups)
    rows = np.arange(len(labels)) if units is None else np.unique(units, return_inverse=True)[1]
    n_units = int(rows.max()) + 1

    def drawn(chosen: Int[np.ndarray, " unit"]) -> dict[str, float]:
        return measure(np.bincount(chosen, minlength=n_units).astype(np.float64)[rows])

    n = n_replicates or (1000 if len(labels) <= _MANY_ROWS else 200)
    return bootstrap_all(drawn, n_units, seed=seed, level=level, n_replicates=n)


def areas_by_label(
    labels: Shaped[np.ndarray, "row label"],
    probabilities: Float[np.ndarray, "row label"],
    weights: Weights | None = None,
) -> Float[np.ndarray, "2 label"]:
    """Return AUROC (first row) and average precision of each label; NaN if it does not vary.

    Parameters
    ----------
    labels
        Truths of each row and label.
    probabilities
        Predicted probabilities, shaped as the labels.
    weights
        Number of times each row counts; None means once.
    """
    columns = zip(labels.T.astype(bool), probabilities.T, strict=True)
    return np.array([Ranking(truth, scores).areas(weights) for truth, scores in columns]).T


def confusion(
    labels: Int[np.ndarray, " row"],
    predicted: Int[np.ndarray, " row"],
    n_classes: int,
    weights: Weights | None = None,
) -> Float[np.ndarray, "{n_classes} {n_classes}"]:
    """Count rows by label (row of the table) and predicted class (column).

    Parameters
    ----------
    labels, predicted
        Classes from 0.
    n_classes
        Number of classes.
    weights
        Number of times each row counts; None means once.
    """
    cells = np.bincount(labels * n_classes + predicted, weights=weights, minlength=n_classes**2)
    return cells.astype(np.float64).reshape(n_classes, n_classes)


def measure_of(
    kind: Kind,
    labels: Labels,
    predictions: Predictions,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> _Measure:
    """Return a function that computes `metrics_of` from the number of times each row counts.

    Parameters
    ----------
    kind
        Kind of task; see `metrics_of`.
    labels, predictions
        Labels and predictions, shaped as `kind` requires.
    groups
        For multilabel only: the columns of each named group.

    Raises
    ------
    InputError
        If labels, predictions or groups are invalid for the kind.
    """
    check_predictions(kind, labels, predictions)
    if groups and kind != "multilabel":
        raise InputError(f"groups need a multilabel task; got a {kind} task")
    if kind == "multilabel":
        return _multilabel(labels, predictions, groups or {})
    if kind == "regression":
        shape = (len(labels), -1)
        return _regression(
            labels.reshape(shape).astype(np.float64), predictions.reshape(shape).astype(np.float64)
        )
    return _classes(labels.astype(np.int64), predictions.astype(np.float64))


def check_predictions(kind: Kind, labels: Labels, predictions: Predictions) -> None:
    """Raise an InputError unless labels and predictions fit the kind and are finite."""
    if not len(labels):
        raise InputError("there are no rows to measure")
    is_class = kind in ("binary", "multiclass")
    if is_class:
        n_classes = predictions.shape[1] if predictions.ndim == 2 else 0
        fits = labels.ndim == 1 and (n_classes == 2 if kind == "binary" else n_classes >= 2)
    else:
        fits = labels.shape == predictions.shape and (kind == "regression" or labels.ndim == 2)
    if not fits or len(labels) != len(predictions):
        raise InputError(
            f"a {kind} task has {_EXPECTED[kind]}; got labels {labels.shape} and predictions "
            f"{predictions.shape}"
        )
    if not np.isfinite(predictions).all() or not np.isfinite(labels).all():
        raise InputError("labels and predictions must be finite; remove or correct other rows")
    if is_class and not 0 <= labels.min() <= labels.max() < predictions.shape[1]:
        raise InputError(
            f"labels must be classes from 0 to {predictions.shape[1] - 1}, got "
            f"{labels.min()} to {labels.max()}"
        )


_EXPECTED: Mapping[Kind, str] = {
    "binary": "labels (row,) and probabilities (row, 2)",
    "multiclass": "labels (row,) and probabilities (row, class)",
    "multilabel": "labels and probabilities (row, label)",
    "regression": "labels and predictions (row,) or (row, target)",
}


def _classes(
    labels: Int[np.ndarray, " row"], probabilities: Float[np.ndarray, "row class"]
) -> _Measure:
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    ranked = [1] if n_classes == 2 else range(n_classes)
    rankings = [Ranking(labels == each, probabilities[:, each]) for each in ranked]

    def measure(weights: Weights) -> dict[str, float]:
        found = _of_confusion(confusion(labels, predicted, n_classes, weights))
        auroc, auprc = np.array([ranking.areas(weights) for ranking in rankings]).T
        return {**found, "auroc": _mean_of_known(auroc), "auprc": _mean_of_known(auprc)}

    return measure


def _of_confusion(table: Float[np.ndarray, "class class"]) -> dict[str, float]:
    """Compute the metrics that depend on the predicted classes only.

    Source
    ------
    Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation
    coefficient", Computational Biology and Chemistry 28:367, Eq. (8).
    """
    n, right = table.sum(), np.diag(table)
    of_label, of_prediction = table.sum(axis=1), table.sum(axis=0)
    f1 = 2 * right / np.maximum(of_label + of_prediction, 1e-300)
    covariance = right.sum() * n - np.dot(of_label, of_prediction)
    spread = n * n - np.dot(of_label, of_label), n * n - np.dot(of_prediction, of_prediction)
    if spread[0] <= 0:
        mcc = float("nan")
    else:
        mcc = covariance / np.sqrt(spread[0] * spread[1]) if spread[1] > 0 else 0.0
    return {
        "accuracy": float(right.sum() / n),
        "mcc": float(mcc),
        "f1_macro": float(f1[of_label + of_prediction > 0].mean()),
        "f1_weighted": float(np.dot(f1, of_label) / n),
    }


def _multilabel(
    labels: Labels, probabilities: Predictions, groups: Mapping[str, Sequence[int]]
) -> _Measure:
    for name, columns in groups.items():
        if not columns or not 0 <= min(columns) <= max(columns) < labels.shape[1]:
            raise InputError(
                f"group {name!r} must name some of {labels.shape[1]} labels, counted from 0"
            )

    def measure(weights: Weights) -> dict[str, float]:
        auroc, auprc = areas_by_label(labels, probabilities, weights)
        n_known = int(np.isfinite(auroc).sum())
        found = {"auroc_median": _median_of_known(auroc), "auprc_median": _median_of_known(auprc)}
        for name, columns in groups.items():
            found[f"auroc_median_{name}"] = _median_of_known(auroc[list(columns)])
            found[f"auprc_median_{name}"] = _median_of_known(auprc[list(columns)])
        left_out = float(len(auroc) - n_known)
        return {**found, "n_labels": float(n_known), "n_labels_left_out": left_out}

    return measure


def _regression(
    labels: Float[np.ndarray, "row target"], predictions: Float[np.ndarray, "row target"]
) -> _Measure:
    pairs = list(zip(labels.T, predictions.T, strict=True))

    def measure(weights: Weights) -> dict[str, float]:
        of_targets = [
            (
                np.average((predicted - value) ** 2, weights=weights),
                _r2(value, predicted, weights),
                pearson(value, predicted, weights),
                spearman(value, predicted, weights),
            )
            for value, predicted in pairs
        ]
        return dict(zip(NAMES["regression"], np.mean(of_targets, axis=0).tolist(), strict=True))

    return measure


def _r2(values: Weights, predicted: Weights, weights: Weights) -> float:
    """Return the fraction of the variance that is explained; NaN if the values do not vary."""
    around_mean = (values - np.average(values, weights=weights)) ** 2
    total = np.dot(weights, around_mean)
    return float(1 - np.dot(weights, (values - predicted) ** 2) / total) if total > 0 else np.nan


def _mean_of_known(values: Float[np.ndarray, " value"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _median_of_known(values: Float[np.ndarray, " value"]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


class Difference(NamedTuple):
    """The first minus the second, and its bootstrap interval over rows, or None."""

    value: float
    interval: ConfidenceInterval | None


def difference(
    kind: Kind,
    metric: str,
    labels: Labels,
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    *,
    seed: int,
    n_replicates: int = 1000,
) -> Difference:
    """Compute the difference of two systems in the mean of a metric over seeds.

    The interval is a 95 % bootstrap percentile interval. Rows are drawn with replacement, the
    same rows for both systems and all seeds. It is None for fewer than ten rows, or if the
    metric is undefined in some replicate.

    Parameters
    ----------
    kind
        Kind of task; see `task_metrics.metrics_of`.
    metric
        Name of a metric of this kind, from `task_metrics.NAMES`.
    labels
        Labels of the rows, shaped as `kind` requires.
    first, second
        Predictions of each seed of the two systems.
    seed
        Seed of the bootstrap.
    n_replicates
        Number of bootstrap replicates.

    Raises
    ------
    InputError
        If there are no rows, or labels or predictions are invalid for the kind.
    """
    measures = [
        [measure_of(kind, labels, each) for each in of_seeds] for of_seeds in (first, second)
    ]

    def statistic(drawn: Int[np.ndarray, " row"]) -> float:
        weights = np.bincount(drawn, minlength=len(labels)).astype(np.float64)
        ours, theirs = (
            np.mean([measure(weights)[metric] for measure in of_seeds]) for of_seeds in measures
        )
        return float(ours - theirs)

    n_rows = len(labels)
    interval = bootstrap(statistic, n_rows, seed=seed, n_replicates=n_replicates)
    return Difference(statistic(np.arange(n_rows)), interval)
