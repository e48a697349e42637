"""Measured figures with their provenance, published numbers, and baselines that collapsed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from megabase.errors import InputError
from megabase.metrics.bootstrap import ConfidenceInterval, spread

METRICS: Mapping[str, str] = {
    "accuracy": "fraction of rows whose most probable class is the true one",
    "mcc": "Matthews' correlation coefficient",
    "f1_macro": "mean over classes of F1",
    "f1_weighted": "mean over classes of F1, weighted by their number of rows",
    "auroc": "area under the curve of true against false positives",
    "auprc": "area under the curve of precision against recall",
    "auroc_median": "median over labels of their auroc",
    "auprc_median": "median over labels of their auprc",
    "spearman": "correlation of ranks",
    "pearson": "linear correlation",
    "r2": "fraction of the variance that is explained",
}
"""The metrics of published numbers, with their definitions."""

PROTOCOLS: Mapping[str, str] = {
    "paper": "no validation rows: the best epoch is chosen on the test rows that are reported",
    "clean": "a tenth of the training rows is held out for validation; the mean of several seeds",
    "ten-fold": "ten-fold cross-validation of the training rows",
    "official": "the benchmark's own training, validation and test rows",
    "frozen": "a classifier on embeddings of a model whose weights are frozen",
    "unstated": "the source does not state it, or we know the number from a secondary source",
}
"""How the model behind a published number was chosen."""


@dataclass(frozen=True)
class Published:
    """One number from the literature.

    Parameters
    ----------
    model
        Name of the model in the source.
    value
        The number as a fraction: 0.851 if the source prints 85.1.
    metric
        One of `METRICS`.
    protocol
        One of `PROTOCOLS`.
    source
        The publication and its table.
    part
        The group of labels that it covers, such as ``TF``; empty if it covers all labels.
    over
        A pattern of task names if it is a mean over several tasks; empty otherwise.
    """

    model: str
    value: float
    metric: str
    protocol: str
    source: str
    part: str = ""
    over: str = ""

    @property
    def figure(self) -> str:
        """The name in `task_metrics.metrics_of` of the metric to compare with."""
        return f"{self.metric}_{self.part}" if self.part else self.metric

    def __post_init__(self) -> None:
        if not self.model or not self.source:
            raise InputError(f"a published number needs a model and a source, got {self}")
        if self.metric not in METRICS:
            raise InputError(f"a metric is one of {', '.join(METRICS)}; got {self.metric!r}")
        if self.protocol not in PROTOCOLS:
            raise InputError(f"a protocol is one of {', '.join(PROTOCOLS)}; got {self.protocol!r}")
        if not (math.isfinite(self.value) and -1 <= self.value <= 1):
            raise InputError(
                f"a published value is a fraction from -1 to 1, got {self.value} of {self.model}; "
                "divide percentages by 100"
            )


def read_published(
    table: str,
    metric: str | Mapping[str, str],
    protocol: str,
    source: str,
    *,
    is_percent: bool = False,
    sources: Mapping[str, str] | None = None,
    parts: Sequence[str] = (),
) -> dict[str, tuple[Published, ...]]:
    """Read a table: the first line holds model names, each other line a task and its values.

    Parameters
    ----------
    table
        Cells separated by ``|``; empty lines and cells ``-`` are skipped.
    metric
        Metric of all rows, or of each row by its name.
    protocol
        One of `PROTOCOLS`, for all numbers.
    source
        The publication and its table.
    is_percent
        Whether the values are percentages.
    sources
        Other sources, by the model they apply to.
    parts
        Groups of labels (`Published.part`); if given, each cell has one value for each, separated
        by blanks.

    Returns
    -------
    numbers
        The numbers of each task, in the order of the columns.

    Raises
    ------
    InputError
        If a row has more or fewer cells than the first, or a cell is not a number, or not one
        number for each part.
    """
    lines = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line]
    (_, *models), *rows = lines
    found: dict[str, tuple[Published, ...]] = {}
    for name, *cells in rows:
        if len(cells) != len(models):
            raise InputError(
                f"row {name!r} has {len(cells)} cells for {len(models)} models; expected one each"
            )
        measure = metric if isinstance(metric, str) else metric[name]
        found[name] = tuple(
            Published(model, value, measure, protocol, (sources or {}).get(model, source), part)
            for model, cell in zip(models, cells, strict=True)
            if cell != "-"
            for part, value in _values(cell, parts, is_percent)
        )
    return found


def _values(cell: str, parts: Sequence[str], is_percent: bool) -> list[tuple[str, float]]:
    """Return the values of a cell, each with its part; without parts, the single value."""
    if not parts:
        return [("", _fraction(cell, is_percent))]
    values = cell.split()
    if len(values) != len(parts):
        raise InputError(f"a cell must have a value for each of {', '.join(parts)}, got {cell!r}")
    return [(part, _fraction(value, is_percent)) for part, value in zip(parts, values, strict=True)]


def _fraction(cell: str, is_percent: bool) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise InputError(f"a cell of a table must be a number or '-', got {cell!r}") from error
    return round(value / 100, 6) if is_percent else value


@dataclass(frozen=True)
class Result:
    """The value of one metric of a model on a task.

    Parameters
    ----------
    task, model
        Their names.
    metric
        A name from `task_metrics.NAMES`, or another documented metric.
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
        Metrics of one training run, by the names of `task_metrics.NAMES`.

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
