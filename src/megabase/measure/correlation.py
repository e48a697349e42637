"""Pearson's and Spearman's correlation, weighted, with bootstrap intervals."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from megabase.measure.confidence import ConfidenceInterval, bootstrap_all

Values = Float[np.ndarray, " pair"]


class Correlation(NamedTuple):
    """A coefficient from -1 to 1 (NaN if x or y does not vary) and its interval, or None."""

    value: float
    interval: ConfidenceInterval | None


def pearson(x: Values, y: Values, weights: Values | None = None) -> float:
    """Compute the linear correlation of pairs.

    Parameters
    ----------
    x, y
        The two values of each pair, all finite.
    weights
        Number of times each pair counts; None means once.

    Returns
    -------
    coefficient
        NaN if x or y does not vary, or there are no pairs.
    """
    counts = np.ones(len(x)) if weights is None else weights
    if not all(np.any(found != found[:1]) for found in (x[counts > 0], y[counts > 0])):
        return float("nan")  # tested on the values: rounding of the mean could leave a spread
    u, v = (values - np.average(values, weights=counts) for values in (x, y))
    spread = np.sqrt(np.dot(counts, u * u) * np.dot(counts, v * v))
    return float(np.dot(counts, u * v) / spread) if spread > 0 else float("nan")


def spearman(x: Values, y: Values, weights: Values | None = None) -> float:
    """Compute the linear correlation of ranks; tied values share their mean rank.

    Parameters
    ----------
    x, y
        The two values of each pair, all finite.
    weights
        Number of times each pair counts; None means once.

    Returns
    -------
    coefficient
        NaN if x or y does not vary, or there are no pairs.
    """
    return pearson(_ranks(_places(x), weights), _ranks(_places(y), weights), weights)


def _places(values: Values) -> Int[np.ndarray, " pair"]:
    """Number the distinct values in rising order, and return the number of each value."""
    return np.unique(values, return_inverse=True)[1]


def _ranks(places: Int[np.ndarray, " pair"], weights: Values | None) -> Values:
    """Return weighted ranks; tied values have their mean rank."""
    n_equal = np.bincount(places, weights=weights)
    return (np.cumsum(n_equal) - (n_equal - 1) / 2)[places]


def correlate(
    x: Values, y: Values, groups: Int[np.ndarray, " pair"], *, seed: int
) -> dict[str, Correlation]:
    """Compute ``pearson`` and ``spearman``, each with its 95 % bootstrap percentile interval.

    Pairs that are not independent, such as the three substitutions of a base, form a group and
    are drawn together. For fewer than ten groups the intervals are None.

    Parameters
    ----------
    x, y
        The two values of each pair, all finite.
    groups
        The group of each pair, as arbitrary integers.
    seed
        Seed of the random draws.

    Source
    ------
    Efron & Tibshirani 1993, "An introduction to the bootstrap", chapters 6 and 13.
    """
    names, group = np.unique(groups, return_inverse=True)

    places = _places(x), _places(y)  # sorted once for all replicates
    coefficients: dict[str, Callable[[Values], float]] = {
        "pearson": lambda counts: pearson(x, y, counts),
        "spearman": lambda counts: pearson(
            _ranks(places[0], counts), _ranks(places[1], counts), counts
        ),
    }

    def drawn(chosen: Int[np.ndarray, " group"]) -> dict[str, float]:
        counts = np.bincount(chosen, minlength=len(names)).astype(np.float64)[group]
        return {kind: of(counts) for kind, of in coefficients.items()}

    intervals = bootstrap_all(drawn, len(names), seed=seed)
    once = np.ones(len(x))
    return {kind: Correlation(of(once), intervals[kind]) for kind, of in coefficients.items()}
