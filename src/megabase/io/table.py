"""Rows of named columns: CSV, TSV and Parquet."""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import IO, Any

from megabase.errors import InputError
from megabase.io.compression import open_text

_ROWS_IN_GROUP = 1 << 16
_TAB, _COMMA, _PARQUET = "\t", ",", ".parquet"
_DELIMITERS = {".csv": _COMMA, ".tsv": _TAB, ".tab": _TAB, ".txt": _TAB}


def delimiter_of(path: Path) -> str:
    """Give what parts the columns of a text table, by its suffix, whether it ends in .gz or not.

    Raises
    ------
    InputError
        If the suffix is of no table.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in _DELIMITERS:
        raise InputError(
            f"{path} is no table by its name: expected .csv, .tsv, .tab or .txt (each may end in "
            ".gz to be read)"
        )
    return _DELIMITERS[suffix]


def delimiter_to_write(path: Path) -> str:
    """Give what parts the columns of a table that is to be written, by its suffix.

    Raises
    ------
    InputError
        If the suffix is of no text table, or promises a compressed one.
    """
    if path.suffix.lower() == ".gz":
        raise InputError(f"{path}: tables are written plain; leave .gz away")
    return delimiter_of(path)


def write_table(
    file: IO[str],
    columns: list[str],
    rows: Iterable[Mapping[str, object]],
    *,
    delimiter: str = _TAB,
) -> None:
    """Write a header and one line per row; a float keeps eight significant digits.

    None is written as nothing, a truth as true or false. Between commas a text is quoted
    where it must be, between tabs never.

    Parameters
    ----------
    file
        An open text file.
    columns
        The columns, in order; a row must have each of them and no other.
    rows
        The rows; they are written as they come.
    delimiter
        What stands between columns.
    """
    quoting = _quoting(delimiter)
    writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n", **quoting)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _text(value) for key, value in row.items()})


def check_parquet() -> None:
    """Raise an InputError unless there is pyarrow; ask before work that ends in Parquet."""
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


class ParquetTable:
    """A table that `write_parquet` wrote.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    columns, notes
        As `write_parquet` takes them.

    Raises
    ------
    InputError
        If it is cut short or damaged, or has other kinds of columns.
    """

    def __init__(self, path: Path) -> None:
        check_parquet()
        import pyarrow  # noqa: PLC0415 an extra, imported at its door
        from pyarrow import parquet  # noqa: PLC0415 likewise

        self._path = path
        kinds = {"string": str, "int64": int, "double": float, "bool": bool}
        try:
            schema = parquet.read_schema(path)
            self.columns = {each.name: kinds[str(each.type)] for each in schema}
        except (pyarrow.ArrowInvalid, KeyError) as error:
            raise InputError(f"{path} is damaged, or was not written by megabase") from error
        self.notes = {key.decode(): value.decode() for key, value in schema.metadata.items()}

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows; null is None."""
        from pyarrow import parquet  # noqa: PLC0415 an extra, imported at its door

        with parquet.ParquetFile(self._path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()


def read_table(
    file: Iterable[str], columns: Iterable[str], *, name: str, delimiter: str = _TAB
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
        What stands between columns; between commas a text may be quoted.

    Raises
    ------
    InputError
        If a column is missing or stands twice, or a row has another number of columns than the
        header.
    """
    csv.field_size_limit(sys.maxsize)  # a megabase of letters is above what it takes unasked
    reader = csv.reader(file, delimiter=delimiter, strict=True, **_quoting(delimiter))
    try:
        header = next(reader, [])
        check_columns(header, columns, name)
        for row in filter(None, reader):
            if len(row) != len(header):
                raise InputError(
                    f"{name}, line {reader.line_num}: expected {len(header)} columns, got "
                    f"{len(row)}"
                )
            yield dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}: {error}") from error


def check_columns(header: list[str], columns: Iterable[str], name: str) -> None:
    """Raise an InputError if a column is missing or stands twice."""
    if not header:
        raise InputError(f"{name} is empty; a table has a line with the names of its columns")
    for column in columns:
        if column not in header:
            raise InputError(f"{name} has no column {column!r}; it has {', '.join(header)}")
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise InputError(f"{name} has the column {twice!r} twice; rename one of them")


def check_no_clash(header: Sequence[str], added: Sequence[str], name: str) -> None:
    """Raise an InputError if a table has a column already that shall be added to it."""
    for column in added:
        if column in header:
            raise InputError(f"{name} has a column {column!r} already; rename it")


def read_rows(path: Path, columns: Iterable[str]) -> Iterator[dict[str, str]]:
    """Give each row of a table as text by column: CSV or TSV, also with gzip, or Parquet.

    Which of them it is, the suffix says. What Parquet has as null is an empty text.

    Parameters
    ----------
    path
        The file, with a header.
    columns
        The columns that must be there.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a row is no whole one.
    """
    if not path.is_file():
        raise InputError(f"there is no table {path}")
    if path.suffix == _PARQUET:
        yield from _read_parquet(path, columns)
        return
    delimiter = delimiter_of(path)
    with open_text(path, newline="") as file:
        yield from read_table(file, columns, name=str(path), delimiter=delimiter)


def _read_parquet(path: Path, columns: Iterable[str]) -> Iterator[dict[str, str]]:
    check_parquet()
    from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415 an extra, imported at its door

    try:
        file = parquet.ParquetFile(path)
    except ArrowInvalid as error:
        raise InputError(f"{path} is no whole Parquet file: {error}") from error
    with file:
        check_columns(file.schema_arrow.names, columns, str(path))
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                yield {name: "" if value is None else str(value) for name, value in row.items()}


def _quoting(delimiter: str) -> dict[str, Any]:
    """Between commas a text is quoted where it must be, between tabs never."""
    if delimiter == _COMMA:
        return {"quoting": csv.QUOTE_MINIMAL}
    return {"quoting": csv.QUOTE_NONE, "quotechar": None}


def _text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.8g}" if isinstance(value, float) else value
