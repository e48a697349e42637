"""Bootstrap confidence intervals, and the spread of a figure over seeds."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_FEWEST = 10  # fewest units (windows, rows, groups) for an interval


class ConfidenceInterval(NamedTuple):
    """The range that contains the central fraction of bootstrap replicates."""

    low: float
    high: float


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
