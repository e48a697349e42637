"""Bootstrap confidence intervals of a figure, and of correlations."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_FEWEST = 10  # fewest units (windows, rows, groups) for an interval


class ConfidenceInterval(NamedTuple):
    """The range that contains the central fraction of bootstrap replicates."""

    low: float
    high: float


def interval_text(interval: Sequence[float] | None) -> str:
    """Return an interval as text; None is an interval that too few windows leave undefined.

    Examples
    --------
    >>> interval_text(ConfidenceInterval(1.25, 1.5)), interval_text(None)
    ('1.2500 to 1.5000', 'too few windows')
    """
    return "too few windows" if interval is None else "{:.4f} to {:.4f}".format(*interval)


class Spread(NamedTuple):
    """A figure over n seeds: mean, sample standard deviation (None for one seed), least, most."""

    mean: float
    sd: float | None
    least: float
    most: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of a figure over seeds; all statistics are NaN if one value is NaN.

    Examples
    --------
    >>> spread([1.0, 3.0])
    Spread(mean=2.0, sd=1.4142135623730951, least=1.0, most=3.0, n=2)
    """
    found = np.array(values, dtype=np.float64)
    sd = float(found.std(ddof=1)) if len(found) > 1 else None
    return Spread(float(found.mean()), sd, float(found.min()), float(found.max()), len(found))


def bootstrap_ratio(
    totals: Float[np.ndarray, " window"],
    sizes: Float[np.ndarray, " window"],
    *,
    seed: int,
    level: float = 0.95,
    n_replicates: int = 2000,
) -> ConfidenceInterval | None:
    """Compute the bootstrap percentile interval of ``totals.sum() / sizes.sum()`` over windows.

    For fewer than ten windows the interval would be misleadingly narrow; the result is None.

    Parameters
    ----------
    totals, sizes
        Two amounts of each window, such as its bits and its number of bases.
    seed
        Seed of the random draws.
    level
        Fraction of replicates inside the interval.
    n_replicates
        Number of times that the windows are drawn with replacement.

    Source
    ------
    Efron & Tibshirani 1993, "An introduction to the bootstrap", chapter 13.
    """
    return bootstrap(
        lambda drawn: float(totals[drawn].sum() / sizes[drawn].sum()),
        len(totals),
        seed=seed,
        level=level,
        n_replicates=n_replicates,
    )


def bootstrap(
    statistic: Callable[[Int[np.ndarray, " unit"]], float],
    n_units: int,
    *,
    seed: int,
    level: float = 0.95,
    n_replicates: int = 2000,
) -> ConfidenceInterval | None:
    """Compute the bootstrap percentile interval of a statistic; None for fewer than ten units.

    Parameters
    ----------
    statistic
        Function of the indices of the drawn units, of which there are `n_units`.
    n_units
        Number of units, which are drawn with replacement.
    seed
        Seed of the random draws.
    level
        Fraction of replicates inside the interval.
    n_replicates
        Number of bootstrap replicates.
    """
    found = bootstrap_all(
        lambda drawn: {"": statistic(drawn)},
        n_units,
        seed=seed,
        level=level,
        n_replicates=n_replicates,
    )
    return found[""]


def bootstrap_all(
    statistics: Callable[[Int[np.ndarray, " unit"]], Mapping[str, float]],
    n_units: int,
    *,
    seed: int,
    level: float = 0.95,
    n_replicates: int = 2000,
) -> dict[str, ConfidenceInterval | None]:
    """Compute bootstrap percentile intervals of several statistics from the same draws.

    The interval is None for fewer than ten units, and for a statistic that is not finite in
    some replicate.

    Parameters
    ----------
    statistics
        Function of the indices of the drawn units that returns the same names every time.
    n_units
        Number of units, which are drawn with replacement.
    seed
        Seed of the random draws.
    level
        Fraction of replicates inside the interval.
    n_replicates
        Number of bootstrap replicates.
    """
    if n_units < _FEWEST:
        return dict.fromkeys(statistics(np.arange(n_units)))
    rng = np.random.default_rng(seed)
    drawn = [statistics(rng.integers(n_units, size=n_units)) for _ in range(n_replicates)]
    tail = (1 - level) / 2
    intervals: dict[str, ConfidenceInterval | None] = {}
    for name in drawn[0]:
        values = np.array([each[name] for each in drawn])
        low, high = np.quantile(values, [tail, 1 - tail])
        is_known = bool(np.isfinite(values).all())
        intervals[name] = ConfidenceInterval(float(low), float(high)) if is_known else None
    return intervals


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
