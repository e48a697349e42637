"""Calibration: how well predicted probabilities agree with observed frequencies."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from megabase.errors import InputError
from megabase.metrics.task_metrics import Kind, Labels, Predictions, check_predictions


@dataclass(frozen=True)
class Reliability:
    r"""The mean predicted probability and the observed frequency in each bin of probability.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \, | \mathrm{share}_b - \mathrm{mean}_b |
       :label: calibration-error

    Parameters
    ----------
    edges
        Edges of the bins, equally wide, from 0 to 1; the last bin includes 1.
    counts
        Number of predictions in each bin, :math:`n_b`.
    means
        Mean probability in each bin; NaN in an empty bin.
    shares
        Fraction of true predictions in each bin; NaN in an empty bin.

    Source
    ------
    Naeini, Cooper & Hauskrecht 2015, AAAI 29:2901; Guo et al. 2017, ICML 34:1321, Eq. (3).
    """

    edges: Float[np.ndarray, " edge"]
    counts: Int[np.ndarray, " bin"]
    means: Float[np.ndarray, " bin"]
    shares: Float[np.ndarray, " bin"]

    @property
    def calibration_error(self) -> float:
        """The expected calibration error, Eq. calibration-error; 0 is best, 1 worst."""
        known = self.counts > 0
        gaps = np.abs(self.shares - self.means)[known]
        return float(np.dot(self.counts[known], gaps) / self.counts.sum())


def reliability(
    kind: Kind, labels: Labels, probabilities: Predictions, *, n_bins: int = 15
) -> Reliability:
    """Bin predictions by their probability.

    Parameters
    ----------
    kind
        binary: a prediction is true if the label is class 1. multiclass: if the most probable
        class is the label. multilabel: each label of each row is one prediction.
    labels
        Classes (row,) as integers, or multilabel truths (row, label).
    probabilities
        Shape (row, class) or (row, label).
    n_bins
        Number of bins; use fewer for few rows.

    Raises
    ------
    InputError
        If `kind` is regression, there are no rows, shapes or labels do not fit the kind, a
        probability is not in [0, 1], or `n_bins` is below 1.
    """
    check_predictions(kind, labels, probabilities)
    is_true, stated = _statements(kind, labels, probabilities)
    if n_bins < 1 or stated.min() < 0 or stated.max() > 1:
        raise InputError(
            f"expected probabilities from 0 to 1 and at least one bin; got {stated.min():g} to "
            f"{stated.max():g} and {n_bins} bins"
        )
    edges = np.linspace(0, 1, n_bins + 1)
    # a probability of exactly 1 falls beyond the last edge and belongs to the last bin
    bins = np.minimum(np.searchsorted(edges, stated, side="right") - 1, n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    per_bin = np.where(counts > 0, counts, np.nan)
    means, shares = (
        np.bincount(bins, weights=values, minlength=n_bins) / per_bin
        for values in (stated, is_true.astype(np.float64))
    )
    return Reliability(edges, counts, means, shares)


def brier_score(kind: Kind, labels: Labels, probabilities: Predictions) -> float:
    """Return the mean squared difference between probabilities and outcomes; 0 is best.

    For two classes it is that of class 1, for more the sum over classes (from 0 to 2), for
    several labels the mean over labels.

    Parameters
    ----------
    kind
        binary, multiclass or multilabel.
    labels
        Classes (row,) as integers, or multilabel truths (row, label).
    probabilities
        Shape (row, class) or (row, label).

    Raises
    ------
    InputError
        If `kind` is regression, there are no rows, or shapes or labels do not fit the kind.

    Source
    ------
    Brier 1950, Monthly Weather Review 78:1, Eq. (2).
    """
    check_predictions(kind, labels, probabilities)
    if kind == "multiclass":
        truth = np.eye(probabilities.shape[1])[labels]
        return float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))
    is_true, stated = _statements(kind, labels, probabilities)
    return float(np.mean((stated - is_true) ** 2))


def _statements(
    kind: Kind, labels: Labels, probabilities: Predictions
) -> tuple[Bool[np.ndarray, " statement"], Float[np.ndarray, " statement"]]:
    """Return for each prediction whether it was true, and its probability."""
    if kind == "regression":
        raise InputError("a regression has no probabilities; calibration needs classes or labels")
    if kind == "binary":
        return labels == 1, probabilities[:, 1].astype(np.float64)
    if kind == "multilabel":
        return labels.astype(bool).ravel(), probabilities.ravel().astype(np.float64)
    return probabilities.argmax(axis=1) == labels, probabilities.max(axis=1).astype(np.float64)
