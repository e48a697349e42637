"""One measured figure, with all that is needed to believe it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from megabase.errors import InputError
from megabase.measure.confidence import ConfidenceInterval, spread


@dataclass(frozen=True)
class Result:
    """A figure of a model on a task.

    Parameters
    ----------
    task, model, metric
        Their names; the metric is one of `metrics.NAMES`, or another that is documented.
    value
        NaN where it is not defined.
    interval
        The 95 % bootstrap interval over test rows; None where there is none.
    seed
        Of the training; None where chance has no part in it.
    n_test
        Rows that were measured.
    data_hash
        SHA-256 of the rows, or of the files they came from.
    is_published_split
        Whether rows and split are the published ones: only then published numbers compare.
    settings
        What else was chosen, as plain values.
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
        """Give plain values for JSON; NaN becomes None."""
        row = asdict(self)
        row["value"] = None if math.isnan(self.value) else self.value
        row["interval"] = None if self.interval is None else list(self.interval)
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Result":
        """Read what `to_row` gave.

        Raises
        ------
        InputError
            If a field is missing, or one is unknown.
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
    """The figures of one model on one task by one metric, over seeds.

    Parameters
    ----------
    task, model, metric, n_test, is_published_split
        As of `Result`.
    mean
        Over seeds.
    deviation
        Standard deviation over seeds (n - 1); None of one seed.
    interval
        The bootstrap interval; None of several seeds, which each have their own.
    n_seeds
        How many.
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
    """Take the results of several seeds together, in the order in which they first come.

    Raises
    ------
    InputError
        If the results of a task are of different rows, or a seed comes twice.
    """
    rows_of: dict[str, tuple[str, int, bool]] = {}
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for each in results:
        rows = each.data_hash, each.n_test, each.is_published_split
        if rows_of.setdefault(each.task, rows) != rows:
            raise InputError(
                f"the results of {each.task} are of different rows ({each.n_test:,} and "
                f"{rows_of[each.task][1]:,} rows; hashes {each.data_hash[:8]} and "
                f"{rows_of[each.task][0][:8]}); compare those of the same only"
            )
        group = groups.setdefault((each.task, each.model, each.metric), [])
        if each.seed in [other.seed for other in group]:
            raise InputError(
                f"{each.model} on {each.task} has two figures of {each.metric} for seed "
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
    """Put None for what is no number, which JSON does not know."""
    if isinstance(tree, Mapping):
        return {key: without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [without_nan(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
