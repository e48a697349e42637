"""Predictions appended to the rows of a table: a line for each row, or for each base of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from megabase.genome.interval import Interval
from megabase.inference.predictions import prediction_columns, prediction_row
from megabase.model.config import HyenaDNAConfig

_SEQUENCE = "sequence"
_ROW, _POSITION, _BASE = "row", "position", "base"


@dataclass(frozen=True)
class PredictionTable:
    """The lines of the output.

    A line has the columns of the row, then those of its prediction. If the model predicts each
    base, every base has a line: the columns of its row except `sequence_column`, then ``row``
    (counted from 1), ``position`` in the sequence as it was read (from 0), and for an interval
    of a genome ``base``, the position on the contig (from 0).

    Parameters
    ----------
    config
        Configuration of the model.
    per_base
        Whether the model predicts each base.
    has_places
        Whether rows are intervals of a genome.
    sequence_column
        The column that is omitted if each base has a line.
    """

    config: HyenaDNAConfig
    per_base: bool
    has_places: bool
    sequence_column: str = _SEQUENCE

    def added(self) -> list[str]:
        """Return the columns that are added to those of a row."""
        place = [_ROW, _POSITION, *([_BASE] if self.has_places else [])] if self.per_base else []
        return [*place, *prediction_columns(self.config)]

    def columns(self, header: list[str]) -> list[str]:
        """Return all columns of the output for an input with this header."""
        left_out = self.sequence_column if self.per_base else None
        return [*(column for column in header if column != left_out), *self.added()]

    def lines(
        self,
        number: int,
        row: Mapping[str, str],
        place: Interval | None,
        answer: Float64[np.ndarray, "*base output"],
    ) -> Iterator[Mapping[str, object]]:
        """Yield the lines of a row of the input: one, or one for each base.

        Parameters
        ----------
        number
            Number of the row, counted from 1.
        row
            Cells of the row by column.
        place
            The interval of the genome that was read, or None.
        answer
            Its prediction (output,), or the predictions of its bases (base, output).
        """
        if not self.per_base:
            yield {**row, **prediction_row(self.config, answer)}
            return
        kept = {column: cell for column, cell in row.items() if column != self.sequence_column}
        for position, of_base in enumerate(answer):
            line = {**kept, _ROW: number, _POSITION: position}
            if place is not None:
                line[_BASE] = place.part(position, position + 1).start
            yield {**line, **prediction_row(self.config, of_base)}
