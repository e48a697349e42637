"""Draw nested subsets of rows in which every stratum keeps its share."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64


def nested_order(strata: Sequence[int], *, seed: int) -> Int64[np.ndarray, " row"]:
    """Return an order of rows such that the first n rows are a stratified subset, for every n.

    The rows of each stratum are shuffled, and the strata are interleaved evenly: the j-th of the
    m rows of a stratum has the key (j - 1/2) / m, and ties are in random order. Among the first
    n rows, each stratum has its share of n to within about one row.

    Parameters
    ----------
    strata
        The stratum of each row, such as its class.
    seed
        Seed of the shuffle.

    Returns
    -------
    order
        Row numbers, from 0.

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
