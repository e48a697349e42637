"""How many labels one system needs for what another reaches with fewer."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from megabase.errors import InputError


def doubling(first: int, last: int) -> list[int]:
    """Return `first` and its doublings below `last`, followed by `last`.

    Examples
    --------
    >>> doubling(64, 300), doubling(64, 50)
    ([64, 128, 256, 300], [50])
    """
    lengths: list[int] = []
    while first < last:
        lengths.append(first)
        first *= 2
    return [*lengths, last]


class Needed(NamedTuple):
    """An estimated number of training rows.

    Attributes
    ----------
    n_rows
        Number of rows.
    bound
        about: interpolated between two measured numbers. at most: the smallest measured number
        is enough. more than: the largest measured number is not enough.
    """

    n_rows: float
    bound: Literal["about", "at most", "more than"]


def needed_rows(n_rows: Sequence[int], values: Sequence[float], target: float) -> Needed | None:
    """Estimate the number of training rows at which a metric first reaches a target.

    Between measurements the metric is interpolated linearly in the logarithm of the number of
    rows. It is not extrapolated.

    Parameters
    ----------
    n_rows
        Numbers of training rows, strictly rising.
    values
        The metric for each number of rows; higher is better.
    target
        The value to reach.

    Returns
    -------
    needed
        None if a value or the target is not finite.

    Raises
    ------
    InputError
        If the numbers of rows and values differ in count, are empty, or `n_rows` does not rise.

    Examples
    --------
    >>> needed_rows([10, 1000], [0.5, 1.0], 0.75)
    Needed(n_rows=100.0, bound='about')
    >>> needed_rows([10, 1000], [0.5, 0.7], 0.8)
    Needed(n_rows=1000.0, bound='more than')
    """
    if len(n_rows) != len(values) or not values or any(b <= a for a, b in pairwise(n_rows)):
        raise InputError(
            f"expected rising numbers of rows and one value for each; got {list(n_rows)} and "
            f"{len(values)} values"
        )
    if not all(map(math.isfinite, (*values, target))):
        return None
    if values[0] >= target:
        return Needed(float(n_rows[0]), "at most")
    measured = zip(n_rows, values, strict=True)
    for (few, below), (many, above) in pairwise(measured):
        if above >= target:
            share = (target - below) / (above - below)
            return Needed(few * (many / few) ** share, "about")
    return Needed(float(n_rows[-1]), "more than")
