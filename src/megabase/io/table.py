"""Rows of tab-separated text."""

import csv
from collections.abc import Iterable, Mapping
from typing import IO


def write_table(file: IO[str], columns: list[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a header and one line per row; a float keeps eight significant digits.

    Parameters
    ----------
    file
        An open text file.
    columns
        The columns, in order; a row must have each of them and no other.
    rows
        The rows; they are written as they come.
    """
    writer = csv.DictWriter(
        file, columns, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
    )
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _text(value) for key, value in row.items()})


def _text(value: object) -> object:
    return f"{value:.8g}" if isinstance(value, float) else value
