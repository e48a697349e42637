"""Areas under the ROC and precision-recall curves of scores."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

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
