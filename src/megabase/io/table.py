"""Rows of named columns: CSV, TSV and Parquet."""

import csv
import logging
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from megabase.errors import InputError
from megabase.io.compression import file_format, open_text, uncompressed_name
from megabase.io.file_format import FASTA
from megabase.io.parquet_column import ParquetColumn

PARQUET = ".parquet"
"""How the name of a Parquet file ends."""

_ROWS_IN_GROUP = 1 << 16
_TAB, _COMMA, _SEMICOLON = "\t", ",", ";"
_DELIMITER_NAMES = {_COMMA: "a comma", _TAB: "a tab", _SEMICOLON: "a semicolon"}
_NOT_IN_TSV = re.compile(r"[\t\n\r]")
_NAMED = {"\t": "a tab", "\n": "a line break", "\r": "a carriage return"}
_QUOTED_NAMES = re.compile(r'"(?:[^"]|"")*"(?:[,;\t]"(?:[^"]|"")*")*')
_DELIMITERS = {".csv": _COMMA, ".tsv": _TAB, ".tab": _TAB, ".txt": _TAB}

_log = logging.getLogger(__name__)


def delimiter_of(path: Path) -> str:
    """Give what parts the columns of a text table, by its suffix, whether it ends in .gz or not.

    Raises
    ------
    InputError
        If the suffix is of no table.
    """
    suffix = Path(uncompressed_name(path)).suffix.lower()
    if suffix not in _DELIMITERS:
        raise InputError(
            f"{path} is no table by its name: expected .csv, .tsv, .tab or .txt (each may end in "
            ".gz or .bgz to be read)"
        )
    return _DELIMITERS[suffix]


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name, and not FASTA under such a name."""
    suffix = Path(uncompressed_name(path)).suffix.lower()
    if suffix == PARQUET or suffix not in _DELIMITERS:
        return suffix == PARQUET
    return file_format(path) != FASTA


def delimiter_to_write(path: Path) -> str:
    """Give what parts the columns of a table that is to be written, by its suffix.

    Raises
    ------
    InputError
        If the suffix is of no text table, or promises a compressed one.
    """
    if uncompressed_name(path) != path.name:
        raise InputError(f"{path}: tables are written plain; leave {path.suffix} away")
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

    Raises
    ------
    InputError
        At a cell that the format cannot hold, of which `check_cells` tells before.
    """
    options = _Form(delimiter, quoted=delimiter != _TAB).options()
    writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n", **options)
    quoting = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    check_cells(dict(zip(columns, columns, strict=True)), delimiter, "the header")
    writer.writeheader()
    for number, row in enumerate(rows, start=1):
        check_cells(row, delimiter, f"row {number}")
        texts = {key: _text(value) for key, value in row.items()}
        if any(isinstance(text, str) and "\r" in text for text in texts.values()):
            quoting.writerow(texts[column] for column in columns)  # csv knows no other line break
        else:
            writer.writerow(texts)


def check_cells(row: Mapping[str, object], delimiter: str, name: str) -> None:
    """Raise an InputError at a cell that a text table cannot hold; ask before long work.

    Parameters
    ----------
    row
        Cells by column.
    delimiter
        What will stand between columns.
    name
        What to call the row in the error.
    """
    for column, cell in row.items():
        if not isinstance(cell, str):
            continue
        if delimiter == _TAB and (found := _NOT_IN_TSV.search(cell)):
            raise InputError(
                f"{name}, column {column!r}: the cell has {_NAMED[found[0]]}, which a table "
                "between tabs cannot hold; write to a name that ends in .csv"
            )
        if "\0" in cell:
            raise InputError(f"{name}, column {column!r}: the cell has a NUL byte; remove it")


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
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
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
    file: Iterable[str],
    columns: Iterable[str],
    *,
    name: str,
    delimiter: str = _TAB,
    quoted: bool | None = None,
) -> Iterator[dict[str, str]]:
    """Yield each row of a table as text by column; empty lines are passed over.

    Parameters
    ----------
    file
        An open text file, or its lines, with a header.
    columns
        The columns that must be there.
    name
        What to call it in an error.
    delimiter
        What stands between columns.
    quoted
        Whether a quotation mark at the start of a cell opens a quoted text; None: it does
        unless the delimiter is a tab.

    Raises
    ------
    InputError
        If a column is missing or stands twice, or a row has another number of columns than the
        header.
    """
    csv.field_size_limit(sys.maxsize)  # a megabase of letters is above what it takes unasked
    form = _Form(delimiter, quoted=delimiter != _TAB if quoted is None else quoted)
    reader = csv.reader(file, delimiter=delimiter, strict=True, **form.options())
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


def read_rows(
    path: Path,
    columns: Iterable[str],
    *,
    delimiter: str | None = None,
    list_columns: Collection[str] = (),
) -> Iterator[dict[str, str]]:
    """Yield each row of a table as text by column: CSV or TSV, also with gzip, or Parquet.

    Which of them it is, the suffix tells. In text the header line tells what stands between
    columns (a comma, a tab or a semicolon), and in a table between tabs whether cells are
    quoted: they are if all names of columns are. In Parquet a null is an empty text, a list the
    texts of its values with `parquet_column.LIST_JOINT` between them, and a date or time its
    text as ISO 8601 has it.

    Parameters
    ----------
    path
        The file, with a header.
    columns
        The columns that must be there.
    delimiter
        What stands between columns; None: as above.
    list_columns
        Those of `columns` whose cells may be lists. Other lists are read where `columns` does
        not name them.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, a row has another number of cells than
        the header, or a cell is not text, a number, a truth value or a list of those.
    """
    columns = list(columns)
    if not path.is_file():
        raise InputError(f"there is no table {path}")
    if path.suffix.lower() == PARQUET:
        if delimiter is not None:
            raise InputError(f"{path} is Parquet, which has no delimiter; leave --delimiter out")
        yield from _read_parquet(path, columns, list_columns)
        return
    usual = delimiter_of(path)
    with open_text(path, newline="") as file:
        first = file.readline()
        form = _form_of(first, columns, usual, delimiter, str(path))
        if delimiter is None and form.delimiter != usual:
            _log.info("%s: columns are separated by %r", path, form.delimiter)
        yield from read_table(
            chain([first], file) if first else file, columns, name=str(path),
            delimiter=form.delimiter, quoted=form.quoted,
        )  # fmt: skip


@dataclass(frozen=True)
class _Form:
    """How the text of a table is to be read: what stands between cells, and quoted or not."""

    delimiter: str
    quoted: bool

    def options(self) -> dict[str, Any]:
        """Return what the csv module calls it."""
        if self.quoted:
            return {"quoting": csv.QUOTE_MINIMAL}
        return {"quoting": csv.QUOTE_NONE, "quotechar": None}

    def header(self, line: str) -> list[str]:
        """Read the names of the columns; none of a line that is not of this form."""
        try:
            return next(csv.reader([line], delimiter=self.delimiter, **self.options()), [])
        except csv.Error:
            return []


def _form_of(
    header: str, columns: Sequence[str], usual: str, asked: str | None, name: str
) -> _Form:
    """Recognise the form of a table by its first line.

    Parameters
    ----------
    header
        The line.
    columns
        The columns that must be there.
    usual
        The delimiter that the suffix stands for.
    asked
        The delimiter that the user gave, if any.
    name
        Of the table, for an error.
    """
    quoted = bool(_QUOTED_NAMES.fullmatch(header.strip("\r\n")))
    if asked is not None:
        return _Form(read_delimiter(asked), quoted or read_delimiter(asked) != _TAB)
    forms = [_Form(each, quoted or each != _TAB) for each in (_COMMA, _TAB, _SEMICOLON)]
    fitting = [form for form in forms if len(form.header(header)) > 1]
    with_columns = [form for form in fitting if set(columns) <= set(form.header(header))]
    fitting = with_columns if columns else fitting
    if len(fitting) > 1 and not any(form.delimiter == usual for form in fitting):
        found = " or ".join(_DELIMITER_NAMES[form.delimiter] for form in fitting)
        raise InputError(
            f"{name}: its first line can be separated by {found}; give one with --delimiter"
        )
    chosen = [form for form in fitting if form.delimiter == usual] or fitting
    return chosen[0] if chosen else _Form(usual, quoted or usual != _TAB)


def read_delimiter(text: str) -> str:
    r"""Return the character that a delimiter is given by: itself, or its name.

    Examples
    --------
    >>> read_delimiter("semicolon"), read_delimiter(";"), read_delimiter(r"\t")
    (';', ';', '\t')

    Raises
    ------
    InputError
        If it is neither one character nor a name.
    """
    named = {name.split()[-1]: each for each, name in _DELIMITER_NAMES.items()} | {r"\t": _TAB}
    found = named.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n\0':
        raise InputError(
            f"a delimiter is one character, or one of {', '.join(named)}; got {text!r}"
        )
    return found


def _read_parquet(
    path: Path, columns: Sequence[str], list_columns: Collection[str]
) -> Iterator[dict[str, str]]:
    check_parquet()
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 an extra, imported at its door

    n_rows = 0
    try:
        with (
            path.open("rb") as opened,  # by ourselves: a path may be no UTF-8
            parquet.ParquetFile(opened, page_checksum_verification=True) as file,
        ):
            names = file.schema_arrow.names
            check_columns(names, columns, str(path))
            single = set(columns) - set(list_columns)
            for batch in file.iter_batches():
                cells = [
                    ParquetColumn(str(path), name, n_rows, name not in single).texts(values)
                    for name, values in zip(names, batch.columns, strict=True)
                ]
                n_rows += batch.num_rows
                for row in zip(*cells, strict=True):
                    yield dict(zip(names, row, strict=True))
            expected = file.metadata.num_rows
    except (ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} is not a whole Parquet file: {reason}; copy it again") from error
    if n_rows != expected:
        raise InputError(f"{path} says that it has {expected:,} rows, and {n_rows:,} can be read")


def _text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.8g}" if isinstance(value, float) else value
