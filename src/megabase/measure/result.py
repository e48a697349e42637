"""One measured figure, with all that is needed to believe it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from megabase.errors import InputError
from megabase.measure.confidence import ConfidenceInterval


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
