"""Detect collapsed models, which predict no better than the most frequent class."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from megabase.measure.result import Result

MAJORITY = "majority"
"""The name in tables of the baseline that predicts the class frequencies, or the mean, of the
training labels."""

_ZERO = 5e-4
"""Smaller values are printed in tables as 0.000."""


class Collapsed(NamedTuple):
    """The number of seeds of a model on a task that collapsed, and the number of all seeds."""

    n: int
    n_seeds: int

    def __str__(self) -> str:
        """Return the flag shown in tables."""
        return "collapsed" if self.n == self.n_seeds else f"{self.n} of {self.n_seeds} collapsed"


def has_collapsed(metrics: Mapping[str, float | None]) -> bool:
    """Return whether a trained model has collapsed, from its metrics.

    A classifier has collapsed if its MCC is 0.000, as when it always predicts one class. A
    regression has collapsed if its R² is 0.000, or its correlation is NaN because its predictions
    do not vary; a multilabel model if its median AUROC is 0.500. A metric that is missing or
    None is ignored: it is undefined if the labels themselves do not vary.

    Parameters
    ----------
    metrics
        Metrics of one training run, by the names of `metrics.NAMES`.

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
    """Count the collapsed seeds by task and model; models without any are left out.

    A model with several seeds has also collapsed if its accuracy equals that of the majority
    baseline for every seed.

    Parameters
    ----------
    results
        All metrics of the models and of the majority baseline.
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
