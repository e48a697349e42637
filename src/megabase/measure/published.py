"""Published numbers with their metric, protocol and source."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from megabase.errors import InputError

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
        """The name in `metrics.metrics_of` of the metric to compare with."""
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

    Returns
    -------
    numbers
        The numbers of each task, in the order of the columns.

    Raises
    ------
    InputError
        If a row has more or fewer cells than the first, or a cell is not a number.
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
            Published(
                model,
                _fraction(cell, is_percent),
                measure,
                protocol,
                (sources or {}).get(model, source),
            )
            for model, cell in zip(models, cells, strict=True)
            if cell != "-"
        )
    return found


def _fraction(cell: str, is_percent: bool) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise InputError(f"a cell of a table must be a number or '-', got {cell!r}") from error
    return round(value / 100, 6) if is_percent else value
