"""The difference of two systems on the same rows, with its bootstrap interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from megabase.measure.confidence import ConfidenceInterval, bootstrap
from megabase.measure.metrics import Kind, Labels, Predictions, measure_of


class Difference(NamedTuple):
    """The first minus the second, and its bootstrap interval over rows, or None."""

    value: float
    interval: ConfidenceInterval | None


def difference(
    kind: Kind,
    metric: str,
    labels: Labels,
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    *,
    seed: int,
    n_replicates: int = 1000,
) -> Difference:
    """Compute the difference of two systems in the mean of a metric over seeds.

    The interval is a 95 % bootstrap percentile interval. Rows are drawn with replacement, the
    same rows for both systems and all seeds. It is None for fewer than ten rows, or if the
    metric is undefined in some replicate.

    Parameters
    ----------
    kind
        Kind of task; see `metrics.metrics_of`.
    metric
        Name of a metric of this kind, from `metrics.NAMES`.
    labels
        Labels of the rows, shaped as `kind` requires.
    first, second
        Predictions of each seed of the two systems.
    seed
        Seed of the bootstrap.
    n_replicates
        Number of bootstrap replicates.

    Raises
    ------
    InputError
        If there are no rows, or labels or predictions are invalid for the kind.
    """
    measures = [
        [measure_of(kind, labels, each) for each in of_seeds] for of_seeds in (first, second)
    ]

    def statistic(drawn: Int[np.ndarray, " row"]) -> float:
        weights = np.bincount(drawn, minlength=len(labels)).astype(np.float64)
        ours, theirs = (
            np.mean([measure(weights)[metric] for measure in of_seeds]) for of_seeds in measures
        )
        return float(ours - theirs)

    n_rows = len(labels)
    interval = bootstrap(statistic, n_rows, seed=seed, n_replicates=n_replicates)
    return Difference(statistic(np.arange(n_rows)), interval)
