"""How far a figure would move if other windows had been drawn."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_FEWEST = 10  # windows, or what else is drawn


class ConfidenceInterval(NamedTuple):
    """The range that holds the middle share of bootstrap replicates."""

    low: float
    high: float


class Spread(NamedTuple):
    """What a figure is over seeds: mean, sample deviation (None of one), ends, and how many."""

    mean: float
    sd: float | None
    least: float
    most: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Give the spread of a figure over seeds; NaN throughout where one of them is NaN.

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
    """Give the percentile interval of ``totals.sum() / sizes.sum()`` over windows.

    Of fewer than ten windows it would say little and look narrow: then there is none.

    Parameters
    ----------
    totals, sizes
        Of each window, say the bits spent and the bases counted.
    seed
        Fixes the draw.
    level
        The share of replicates inside the interval.
    n_replicates
        How often the windows are drawn anew, with replacement.

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
    """Give the percentile interval of a statistic over units that are drawn with replacement.

    Of fewer than ten units there is none.

    Parameters
    ----------
    statistic
        Of the numbers of the units that were drawn, as many as there are.
    n_units
        How many there are.
    seed, level, n_replicates
        As of `bootstrap_ratio`.
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
    """Give the percentile intervals of several statistics of the same draws, by their names.

    A statistic that is not finite in some replicate has no interval, and of fewer than ten
    units none has.

    Parameters
    ----------
    statistics
        Of the numbers of the units that were drawn; the names are always the same.
    n_units, seed, level, n_replicates
        As of `bootstrap`.
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
