"""Rows of named columns, as text between tabs or commas, or as Parquet."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import IO, Any

from megabase.errors import InputError

_ROWS_IN_GROUP = 1 << 16
_LONGEST_CELL = 1 << 30  # letters; the library's own limit is 131,072


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
    """Raise an InputError unless Parquet can be read and written; ask before work on it."""
    if find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow: pip install 'megabase[parquet]'; or take .tsv")


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


def read_table(
    file: Iterable[str], columns: Iterable[str], *, name: str, delimiter: str = "\t"
) -> Iterator[dict[str, str]]:
    """Give each row of a table as text by column; lines that are empty are passed over.

    Parameters
    ----------
    file
        An open text file, or its lines, with a header.
    columns
        The columns that must be there.
    name
        What to call it in an error.
    delimiter
        Between columns; a cell between commas may be quoted, one between tabs is as it is.

    Raises
    ------
    InputError
        If a column is missing, or a row has another number of columns than the header.
    """
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(file, delimiter=delimiter, quoting=quoting)
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


def read_parquet(path: Path, columns: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Give each row of a Parquet file as values by column.

    Parameters
    ----------
    path
        The file.
    columns
        The columns that must be there.

    Raises
    ------
    InputError
        If pyarrow is not installed, the file is no Parquet, or a column is missing.
    """
    check_parquet()
    import pyarrow  # noqa: PLC0415 an extra, imported at its door
    from pyarrow import parquet  # noqa: PLC0415 likewise

    try:
        file = parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is no Parquet file ({error})") from error
    with file:
        names = file.schema_arrow.names
        for column in columns:
            if column not in names:
                raise InputError(f"{path} has no column {column!r}; it has {', '.join(names)}")
        for batch in file.iter_batches():
            yield from batch.to_pylist()


def _text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.8g}" if isinstance(value, float) else value
