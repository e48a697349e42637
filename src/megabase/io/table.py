"""Rows of tab-separated text."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from megabase.errors import InputError


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


def read_table(file: IO[str], columns: Iterable[str], *, name: str) -> Iterator[dict[str, str]]:
    """Give each row of a table as text by column; lines that are empty are passed over.

    Parameters
    ----------
    file
        An open text file, with a header.
    columns
        The columns that must be there.
    name
        What to call it in an error.

    Raises
    ------
    InputError
        If a column is missing, or a row has another number of columns than the header.
    """
    reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(reader, [])
    for column in columns:
        if column not in header:
            raise InputError(f"{name} has no column {column!r}; it has {', '.join(header)}")
    for row in filter(None, reader):
        if len(row) != len(header):
            raise InputError(
                f"{name}, line {reader.line_num}: expected {len(header)} columns, got {len(row)}"
            )
        yield dict(zip(header, row, strict=True))


def _text(value: object) -> object:
    return f"{value:.8g}" if isinstance(value, float) else value
