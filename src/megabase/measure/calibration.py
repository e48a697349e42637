"""Whether a probability means what it says."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from megabase.errors import InputError
from megabase.measure.metrics import Kind, Labels, Predictions, check_predictions


@dataclass(frozen=True)
class Reliability:
    r"""How often what was said with a probability came true, bin by bin.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \, | \mathrm{share}_b - \mathrm{mean}_b |
       :label: calibration-error

    Parameters
    ----------
    edges
        Of the bins of probability, equally wide, from 0 to 1; the last holds 1.
    counts
        Statements of each bin, :math:`n_b`.
    means
        Their mean probability; NaN where there are none.
    shares
        How many of them were true; NaN where there are none.

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
        """The expected calibration error, Eq. calibration-error; 0 is the best, 1 the worst."""
        known = self.counts > 0
        gaps = np.abs(self.shares - self.means)[known]
        return float(np.dot(self.counts[known], gaps) / self.counts.sum())


def reliability(
    kind: Kind, labels: Labels, probabilities: Predictions, *, n_bins: int = 15
) -> Reliability:
    """Put statements into bins by their probability.

    Parameters
    ----------
    kind
        binary: the statement is "class 1". multiclass: that the most probable class is the
        true one. multilabel: one for each label.
    labels, probabilities
        As of `metrics.metrics_of`.
    n_bins
        How many; fewer rows want fewer.

    Raises
    ------
    InputError
        As `metrics.metrics_of` does; of values, which have no probabilities; if a number
        is no probability, or there are no bins.
    """
    check_predictions(kind, labels, probabilities)
    is_true, stated = _statements(kind, labels, probabilities)
    if n_bins < 1 or stated.min() < 0 or stated.max() > 1:
        raise InputError(
            f"probabilities must lie in 0 to 1 and bins be one at least; got {stated.min():g} to "
            f"{stated.max():g} and {n_bins} bins"
        )
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.minimum(np.searchsorted(edges, stated, side="right") - 1, n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    per_bin = np.where(counts > 0, counts, np.nan)
    means, shares = (
        np.bincount(bins, weights=values, minlength=n_bins) / per_bin
        for values in (stated, is_true.astype(np.float64))
    )
    return Reliability(edges, counts, means, shares)


def brier_score(kind: Kind, labels: Labels, probabilities: Predictions) -> float:
    """Give the mean squared distance of probabilities from what was true; 0 is the best.

    Of two classes it is that of class 1, of more the sum over classes (from 0 to 2), of
    many labels the mean over labels.

    Parameters
    ----------
    kind, labels, probabilities
        As of `metrics.metrics_of`.

    Raises
    ------
    InputError
        As `metrics.metrics_of` does; of values, which have no probabilities.

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
    """Give what was said to be, as whether it was true and how probable it was said to be."""
    if kind == "regression":
        raise InputError("values have no probabilities: calibration is of classes and labels")
    if kind == "binary":
        return labels == 1, probabilities[:, 1].astype(np.float64)
    if kind == "multilabel":
        return labels.astype(bool).ravel(), probabilities.ravel().astype(np.float64)
    return probabilities.argmax(axis=1) == labels, probabilities.max(axis=1).astype(np.float64)
