"""A published number with its metric, its protocol and its source; tables of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from megabase.errors import InputError

METRICS: Mapping[str, str] = {
    "accuracy": "share of rows whose most probable class is the true one",
    "mcc": "Matthews' correlation coefficient",
    "f1_macro": "mean over classes of F1",
    "f1_weighted": "mean over classes of F1, weighted by their rows",
    "auroc": "area under the curve of true against false positives",
    "auprc": "area under the curve of precision against recall",
    "auroc_median": "of many labels, the median of their auroc",
    "auprc_median": "of many labels, the median of their auprc",
    "spearman": "correlation of ranks",
    "pearson": "linear correlation",
    "r2": "share of the variance that is explained",
}
"""The metrics that a task may name."""

PROTOCOLS: Mapping[str, str] = {
    "paper": "no validation rows: the best epoch is chosen on the test rows that are reported",
    "clean": "a tenth of the training rows is held out to choose on; the mean of several seeds",
    "ten-fold": "ten-fold cross-validation of the training rows",
    "official": "the benchmark's own training, validation and test rows",
    "frozen": "embeddings of an unchanged model, and a classifier on them",
    "unstated": "the source does not say, or we know it at second hand only",
}
"""How the model behind a published number was chosen."""


@dataclass(frozen=True)
class Published:
    """One number from the literature.

    Parameters
    ----------
    model
        As the source calls it.
    value
        As a fraction: 0.851 where the source prints 85.1.
    metric
        One of `METRICS`.
    protocol
        One of `PROTOCOLS`.
    source
        The publication and its table.
    part
        The labels that it is of, where it is not of all: a group such as ``TF``.
    over
        A pattern of task names, where it is the mean of several tasks.
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
        """What `metrics.metrics_of` calls the figure that this compares with."""
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
                "divide percent by 100"
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
    """Read a table of numbers: models in the first line, a task and its values in each other.

    Parameters
    ----------
    table
        Cells between ``|``; lines that are empty are passed over, and so is a cell ``-``.
    metric
        Of all rows, or of each by its name.
    protocol, source
        As of `Published`.
    is_percent
        Whether the table prints percent.
    sources
        The source of those models that have another.

    Returns
    -------
    numbers
        By the name in the first column, in the order of the columns.

    Raises
    ------
    InputError
        If a row has another number of cells than the first, or a cell is no number.
    """
    lines = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line]
    (_, *models), *rows = lines
    found: dict[str, tuple[Published, ...]] = {}
    for name, *cells in rows:
        if len(cells) != len(models):
            raise InputError(f"row {name!r} has {len(cells)} numbers for {len(models)} models")
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
        raise InputError(f"a cell of a table is a number or '-', got {cell!r}") from error
    return round(value / 100, 6) if is_percent else value
