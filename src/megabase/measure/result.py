"""A measured result with its provenance, and summaries over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from megabase.errors import InputError
from megabase.measure.confidence import ConfidenceInterval, spread


@dataclass(frozen=True)
class Result:
    """The value of one metric of a model on a task.

    Parameters
    ----------
    task, model
        Their names.
    metric
        A name from `metrics.NAMES`, or another documented metric.
    value
        The value; NaN if undefined.
    interval
        The 95 % bootstrap interval over test rows; None if undefined.
    seed
        Seed of the training; None if nothing is random.
    n_test
        Number of test rows.
    data_hash
        SHA-256 of the rows, or of their files.
    is_published_split
        Whether rows and split are the published ones; only then are published numbers
        comparable.
    settings
        Other settings, as plain values.
    """

    task: str
    model: str
    metric: str
    value: float
    interval: ConfidenceInterval | None
    seed: int | None
    n_test: int
    data_hash: str
    is_published_split: bool
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""
        row = asdict(self)
        row["value"] = None if math.isnan(self.value) else self.value
        row["interval"] = None if self.interval is None else list(self.interval)
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Result":
        """Return the result that `to_row` wrote.

        Raises
        ------
        InputError
            If a field is missing or unknown.
        """
        expected, found = {each.name for each in fields(cls)}, set(row)
        if expected != found:
            raise InputError(
                f"a result has the fields {', '.join(sorted(expected))}; missing: "
                f"{', '.join(sorted(expected - found)) or 'none'}, unknown: "
                f"{', '.join(sorted(found - expected)) or 'none'}"
            )
        values = dict(row)
        if values["value"] is None:
            values["value"] = math.nan
        if values["interval"] is not None:
            values["interval"] = ConfidenceInterval(*values["interval"])
        return cls(**values)


@dataclass(frozen=True)
class Summary:
    """The values of one metric of one model on one task, over seeds.

    Parameters
    ----------
    task, model, metric
        Their names.
    n_test
        Number of test rows.
    is_published_split
        Whether rows and split are the published ones.
    mean
        Mean over seeds.
    deviation
        Sample standard deviation over seeds (n - 1); None for one seed.
    interval
        The bootstrap interval of a single seed; None for several seeds.
    n_seeds
        Number of seeds.
    """

    task: str
    model: str
    metric: str
    n_test: int
    is_published_split: bool
    mean: float
    deviation: float | None
    interval: ConfidenceInterval | None
    n_seeds: int


def summarise(results: Sequence[Result]) -> list[Summary]:
    """Summarise results over seeds, in the order of their first occurrence.

    Raises
    ------
    InputError
        If the results of a task are of different rows, or a seed occurs twice.
    """
    rows_of: dict[str, tuple[str, int, bool]] = {}
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for each in results:
        rows = each.data_hash, each.n_test, each.is_published_split
        if rows_of.setdefault(each.task, rows) != rows:
            raise InputError(
                f"the results of {each.task} are of different rows ({each.n_test:,} and "
                f"{rows_of[each.task][1]:,} rows; hashes {each.data_hash[:8]} and "
                f"{rows_of[each.task][0][:8]}); compare results of the same rows only"
            )
        group = groups.setdefault((each.task, each.model, each.metric), [])
        if each.seed in [other.seed for other in group]:
            raise InputError(
                f"{each.model} on {each.task} has two values of {each.metric} for seed "
                f"{each.seed}; keep one"
            )
        group.append(each)
    return [_summary(group) for group in groups.values()]


def _summary(group: Sequence[Result]) -> Summary:
    first, found = group[0], spread([each.value for each in group])
    return Summary(
        task=first.task,
        model=first.model,
        metric=first.metric,
        n_test=first.n_test,
        is_published_split=first.is_published_split,
        mean=found.mean,
        deviation=found.sd,
        interval=first.interval if found.n == 1 else None,
        n_seeds=found.n,
    )


def without_nan(tree: object) -> object:
    """Return a tree with None in place of NaN and infinite numbers, which JSON does not allow."""
    if isinstance(tree, Mapping):
        return {key: without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
