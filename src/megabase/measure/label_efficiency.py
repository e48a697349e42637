"""How many labels one system needs for what another reaches with fewer."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from megabase.errors import InputError


class Needed(NamedTuple):
    """A number of training rows, and how it is meant.

    Attributes
    ----------
    n_rows
        How many.
    bound
        about: between two numbers that were measured. at most: the fewest that were measured
        are enough. more than: the most that were measured are not.
    """

    n_rows: float
    bound: Literal["about", "at most", "more than"]


def needed_rows(n_rows: Sequence[int], values: Sequence[float], target: float) -> Needed | None:
    """Give how many rows a system needs until its metric first reaches a target.

    Between two measured numbers of rows the metric is taken to be linear in their logarithm;
    beyond what was measured nothing is guessed.

    Parameters
    ----------
    n_rows
        How many rows were learned from, rising.
    values
        What was reached with each; more is better.
    target
        What shall be reached.

    Returns
    -------
    needed
        None where a value or the target is not defined (NaN).

    Raises
    ------
    InputError
        If there is not one value for each number of rows, or these do not rise.

    Examples
    --------
    >>> needed_rows([10, 1000], [0.5, 1.0], 0.75)
    Needed(n_rows=100.0, bound='about')
    >>> needed_rows([10, 1000], [0.5, 0.7], 0.8)
    Needed(n_rows=1000.0, bound='more than')
    """
    if len(n_rows) != len(values) or not values or any(b <= a for a, b in pairwise(n_rows)):
        raise InputError(
            f"rising numbers of rows and a value of each are expected; got {list(n_rows)} and "
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
