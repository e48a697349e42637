"""Whether what was trained has collapsed: it tells no more than the most frequent class does."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from megabase.measure.result import Result

MAJORITY = "majority"
"""The name in tables of what answers with the shares of the training labels, or their mean."""

_ZERO = 5e-4
"""What is below it stands in tables as 0.000."""


class Collapsed(NamedTuple):
    """How many seeds of a model on a task collapsed, of how many."""

    n: int
    n_seeds: int

    def __str__(self) -> str:
        """Return the flag that a table shows."""
        return "collapsed" if self.n == self.n_seeds else f"{self.n} of {self.n_seeds} collapsed"


def has_collapsed(metrics: Mapping[str, float | None]) -> bool:
    """Return whether the metrics of one training, by the names of `metrics.NAMES`, say so.

    Of classes that is an MCC of 0.000, as of a network that answers one class throughout; of
    values an R² of 0.000, or a correlation that is NaN because the answers do not vary; of
    several labels a median AUROC of 0.500. A metric that is missing or None decides nothing: it
    is not defined where the labels themselves do not vary.

    Examples
    --------
    >>> has_collapsed({"accuracy": 0.52, "mcc": 0.0, "auroc": 0.61})
    True
    >>> has_collapsed({"accuracy": 0.52, "mcc": 0.04, "auroc": 0.61})
    False
    """
    if "spearman" in metrics:
        correlation, r2 = metrics["spearman"], metrics.get("r2")
        is_defined = r2 is not None and not math.isnan(r2)
        is_constant = correlation is None or math.isnan(correlation)
        return is_defined and (is_constant or _is_near(r2, 0.0))
    return _is_near(metrics.get("mcc"), 0.0) or _is_near(metrics.get("auroc_median"), 0.5)


def collapsed_models(results: Sequence[Result]) -> dict[tuple[str, str], Collapsed]:
    """Count the seeds that collapsed, by task and model; models without any are left out.

    A model of several seeds whose accuracy is that of the majority from every one of them has
    collapsed, too.

    Parameters
    ----------
    results
        All metrics of the models, with those of the majority.
    """
    found: dict[tuple[str, str], dict[int | None, dict[str, float | None]]] = {}
    for each in results:
        of_seeds = found.setdefault((each.task, each.model), {})
        of_seeds.setdefault(each.seed, {})[each.metric] = each.value
    counted = {
        (task, model): Collapsed(_n_collapsed(seeds, found.get((task, MAJORITY), {})), len(seeds))
        for (task, model), seeds in found.items()
        if model != MAJORITY
    }
    return {place: each for place, each in counted.items() if each.n}


def _n_collapsed(
    seeds: Mapping[int | None, Mapping[str, float | None]],
    majority: Mapping[int | None, Mapping[str, float | None]],
) -> int:
    (floor,) = [each.get("accuracy") for each in majority.values()] or [None]
    accuracies = [each.get("accuracy") for each in seeds.values()]
    if floor is not None and len(seeds) > 1 and all(_is_near(a, floor, 1e-9) for a in accuracies):
        return len(seeds)
    return sum(map(has_collapsed, seeds.values()))


def _is_near(value: float | None, other: float, within: float = _ZERO) -> bool:
    return value is not None and abs(value - other) < within
