"""How far a figure would move if other windows had been drawn."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_FEWEST = 10  # windows


class ConfidenceInterval(NamedTuple):
    """The range that holds the middle share of bootstrap replicates."""

    low: float
    high: float


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
    if len(totals) < _FEWEST:
        return None
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(len(totals), size=len(totals)) for _ in range(n_replicates))
    ratios = [totals[windows].sum() / sizes[windows].sum() for windows in drawn]
    tail = (1 - level) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return ConfidenceInterval(float(low), float(high))
