"""Rows of named columns, as tab-separated text or as Parquet."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import IO

from megabase.errors import InputError

_ROWS_IN_GROUP = 1 << 16


def write_table(file: IO[str], columns: list[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a header and one line per row; a float keeps eight significant digits.

    None is written as nothing, a truth as true or false.

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


def check_parquet() -> None:
    """Raise an InputError unless Parquet can be written; ask before work that ends in it."""
    if find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow: pip install 'megabase[parquet]'; or write .tsv")


def write_parquet(
    path: Path,
    columns: Mapping[str, type],
    rows: Iterable[Mapping[str, object]],
    notes: Mapping[str, str],
) -> None:
    """Write rows as they come, some at a time; None is null.

    Parameters
    ----------
    path
        The file to write.
    columns
        The columns, in order, each with the kind of its values: str, int, float or bool.
    rows
        The rows; a row must have each column.
    notes
        What goes into the metadata of the schema.
    """
    import pyarrow  # noqa: PLC0415 an extra, imported at its door
    from pyarrow import parquet  # noqa: PLC0415 likewise

    kinds = {
        str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(),
        bool: pyarrow.bool_(),
    }  # fmt: skip
    schema = pyarrow.schema(
        [(name, kinds[kind]) for name, kind in columns.items()], metadata=dict(notes)
    )
    pending = iter(rows)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(pending, _ROWS_IN_GROUP)):
            values = {name: [row[name] for row in group] for name in columns}
            writer.write_table(pyarrow.table(values, schema=schema))


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
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.8g}" if isinstance(value, float) else value
