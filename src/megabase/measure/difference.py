"""By how much one system is better than another on the same rows, and how sure that is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from megabase.measure.confidence import ConfidenceInterval, bootstrap
from megabase.measure.metrics import Kind, Labels, Predictions, measure_of


class Difference(NamedTuple):
    """The first minus the second, and the interval over rows; None of fewer than ten rows."""

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
    """Give the difference of two systems in the mean of a metric over seeds.

    The interval is the 95 % percentile bootstrap: rows are drawn anew with replacement, the
    same for both systems and all seeds. Where the metric is not defined in some replicate
    there is none.

    Parameters
    ----------
    kind, metric, labels
        As of `metrics.metrics_of`, and the name of one of its metrics.
    first, second
        The predictions of each seed.
    seed, n_replicates
        Of the bootstrap.

    Raises
    ------
    InputError
        As `metrics.metrics_of` does.
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
