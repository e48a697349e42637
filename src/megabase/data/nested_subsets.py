"""Subsets of rows, each within the next, in which every stratum has its share."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64


def nested_order(strata: Sequence[int], *, seed: int) -> Int64[np.ndarray, " row"]:
    """Put rows into an order of which each beginning is a stratified subset.

    The rows of a stratum are drawn in an order of their own, and the strata are laid into one
    another evenly: the j-th of m rows has the place (j - 1/2) / m, and of equal places the
    order is drawn. The first n rows have of a stratum its share of n, give or take one or so.

    Parameters
    ----------
    strata
        The stratum of each row, such as its class.
    seed
        Fixes the draw.

    Returns
    -------
    order
        The numbers of the rows, from 0.

    Examples
    --------
    >>> strata = [0, 0, 0, 0, 1, 1]
    >>> [strata[row] for row in nested_order(strata, seed=0)[:3]].count(1)
    1
    """
    drawn = np.random.default_rng(seed).permutation(len(strata))
    sizes = Counter(strata)
    seen: Counter[int] = Counter()
    places = np.empty(len(strata))
    for place, row in enumerate(drawn):
        stratum = strata[row]
        places[place] = (seen[stratum] + 0.5) / sizes[stratum]
        seen[stratum] += 1
    return drawn[np.argsort(places, kind="stable")].astype(np.int64)
