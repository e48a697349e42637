"""How good predictions are: the metrics of each kind of task, and their bootstrap intervals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from megabase.errors import InputError
from megabase.measure.confidence import ConfidenceInterval, bootstrap_all
from megabase.measure.correlation import pearson, spearman
from megabase.measure.ranking import Ranking, Weights

Kind = Literal["binary", "multiclass", "multilabel", "regression"]

Labels = Shaped[np.ndarray, "row *label"]
"""Classes (row,) as integers; multilabel (row, label) as truths; values (row,) or (row, target)."""

Predictions = Float[np.ndarray, "row *column"]
"""Probabilities (row, class) or (row, label); values shaped as the labels."""

NAMES: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("accuracy", "mcc", "f1_macro", "f1_weighted", "auroc", "auprc"),
    "multiclass": ("accuracy", "mcc", "f1_macro", "f1_weighted", "auroc", "auprc"),
    "multilabel": ("auroc_median", "auprc_median", "n_labels", "n_labels_left_out"),
    "regression": ("mse", "r2", "pearson", "spearman"),
}
"""The metrics of each kind; of all but ``mse`` and the counts, more is better."""

_MANY_ROWS = 100_000

_Measure = Callable[[Weights], dict[str, float]]


def metrics_of(
    kind: Kind,
    labels: Labels,
    predictions: Predictions,
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, float]:
    """Measure predictions of one kind of task, by the names of `NAMES`.

    Parameters
    ----------
    kind
        binary: labels 0 or 1, probabilities of two classes. multiclass: labels from 0,
        probabilities (row, class). multilabel: truths and probabilities (row, label).
        regression: values (row,) or (row, target), labels and predictions alike.
    labels, predictions
        As the kind has them.
    groups
        Multilabel only: the columns of each named group, which then has its own
        ``auroc_median_NAME`` and ``auprc_median_NAME``.

    Returns
    -------
    metrics
        The predicted class is the most probable, of equals the first. ``mcc`` is
        Matthews's coefficient, of more classes Gorodkin's R_K; 0 where one class is
        predicted throughout. ``f1_macro`` is over the classes that stand in labels or
        predictions. ``auroc`` and ``auprc`` (average precision) are those of class 1, or
        of several classes the mean of each against the rest, over classes that some rows
        have and some have not. Of labels, those that do not vary are left out of the
        medians and counted. ``r2``, ``pearson`` and ``spearman`` are the mean over
        targets. What is not defined is NaN: the ranking of one class, ``mcc`` where the
        labels are of one class, the correlation of what does not vary.

    Raises
    ------
    InputError
        If there are no rows, shapes do not fit the kind, a label is no class, or a value
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
    """Give the percentile interval of each metric, rows drawn anew with replacement.

    Parameters
    ----------
    kind, labels, predictions, groups
        As of `metrics_of`.
    seed
        Fixes the draw, which is the same for all metrics.
    units
        A number for each row: rows that are not independent, such as the bases of one
        sequence, bear the same one and are drawn together. None: each row by itself.
    level, n_replicates
        As of `confidence.bootstrap`; None: 1,000, or 200 of more than 100,000 rows.

    Returns
    -------
    intervals
        None of fewer than ten units, and where a metric is not defined in some replicate.
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
    """Give AUROC (first row) and average precision of each label; NaN where it does not vary."""
    columns = zip(labels.T.astype(bool), probabilities.T, strict=True)
    return np.array([Ranking(truth, scores).areas(weights) for truth, scores in columns]).T


def confusion(
    labels: Int[np.ndarray, " row"],
    predicted: Int[np.ndarray, " row"],
    n_classes: int,
    weights: Weights | None = None,
) -> Float[np.ndarray, "{n_classes} {n_classes}"]:
    """Count rows by their label (row of the table) and what was predicted (column)."""
    cells = np.bincount(labels * n_classes + predicted, weights=weights, minlength=n_classes**2)
    return cells.astype(np.float64).reshape(n_classes, n_classes)


def measure_of(
    kind: Kind,
    labels: Labels,
    predictions: Predictions,
    groups: Mapping[str, Sequence[int]] | None = None,
) -> _Measure:
    """Give the metrics as a function of how often each row counts, as of `metrics_of`."""
    check_predictions(kind, labels, predictions)
    if groups and kind != "multilabel":
        raise InputError(f"groups are of labels; a {kind} task has none")
    if kind == "multilabel":
        return _multilabel(labels, predictions, groups or {})
    if kind == "regression":
        shape = (len(labels), -1)
        return _regression(
            labels.reshape(shape).astype(np.float64), predictions.reshape(shape).astype(np.float64)
        )
    return _classes(labels.astype(np.int64), predictions.astype(np.float64))


def check_predictions(kind: Kind, labels: Labels, predictions: Predictions) -> None:
    """Raise an InputError unless labels and predictions are those of the kind, and finite."""
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
        raise InputError("labels and predictions must be finite; drop or mend the other rows")
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
    """Give what depends on the predicted classes only.

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
    """Give the share of the variance that is explained; NaN where there is none."""
    around_mean = (values - np.average(values, weights=weights)) ** 2
    total = np.dot(weights, around_mean)
    return float(1 - np.dot(weights, (values - predicted) ** 2) / total) if total > 0 else np.nan


def _mean_of_known(values: Float[np.ndarray, " value"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _median_of_known(values: Float[np.ndarray, " value"]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
