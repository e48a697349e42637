"""Read and write tables of named columns: CSV, TSV and Parquet."""

import csv
import logging
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from megabase.errors import InputError
from megabase.io.compression import FASTA, file_format, open_text, uncompressed_name
from megabase.io.parquet import ParquetColumn

PARQUET = ".parquet"
"""The suffix of Parquet files."""

_ROWS_IN_GROUP = 1 << 16
_TAB, _COMMA, _SEMICOLON = "\t", ",", ";"
_DELIMITER_NAMES = {_COMMA: "a comma", _TAB: "a tab", _SEMICOLON: "a semicolon"}
_NOT_IN_TSV = re.compile(r"[\t\n\r]")
_NAMED = {"\t": "a tab", "\n": "a line break", "\r": "a carriage return"}
_QUOTED_NAMES = re.compile(r'"(?:[^"]|"")*"(?:[,;\t]"(?:[^"]|"")*")*')
_DELIMITERS = {".csv": _COMMA, ".tsv": _TAB, ".tab": _TAB, ".txt": _TAB}

_log = logging.getLogger(__name__)


def delimiter_of(path: Path) -> str:
    """Return the column delimiter for the suffix of a text table, before .gz or .bgz.

    Raises
    ------
    InputError
        If the suffix is not that of a text table.
    """
    suffix = Path(uncompressed_name(path)).suffix.lower()
    if suffix not in _DELIMITERS:
        raise InputError(
            f"{path} does not have the suffix of a table: expected .csv, .tsv, .tab or .txt "
            "(input may also end in .gz or .bgz)"
        )
    return _DELIMITERS[suffix]


def is_table(path: Path) -> bool:
    """Return whether a file has the suffix of a table, and is not FASTA in fact."""
    suffix = Path(uncompressed_name(path)).suffix.lower()
    if suffix == PARQUET or suffix not in _DELIMITERS:
        return suffix == PARQUET
    return file_format(path) != FASTA


def delimiter_to_write(path: Path) -> str:
    """Return the column delimiter for the suffix of a text table to be written.

    Raises
    ------
    InputError
        If the suffix is not that of a text table, or is that of a compressed file.
    """
    if uncompressed_name(path) != path.name:
        raise InputError(f"{path}: tables are written uncompressed; remove {path.suffix}")
    return delimiter_of(path)


def write_table(
    file: IO[str] | StringIO,
    columns: list[str],
    rows: Iterable[Mapping[str, object]],
    *,
    delimiter: str = _TAB,
    has_header: bool = True,
) -> None:
    """Write a header and one line per row; floats have eight significant digits.

    None is written as an empty cell, truth values as true and false. Text is quoted where
    necessary, but never in tables separated by tabs.

    Parameters
    ----------
    file
        An open text file.
    columns
        The columns, in order; every row must have exactly these.
    rows
        The rows; each is written as soon as it is read.
    delimiter
        Separator of the columns.
    has_header
        Whether to write the header.

    Raises
    ------
    InputError
        If the format cannot store a cell; see `check_cells`.
    """
    options = _Form(delimiter, quoted=delimiter != _TAB).options()
    writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n", **options)
    quoting = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    check_cells(dict(zip(columns, columns, strict=True)), delimiter, "the header")
    if has_header:
        writer.writeheader()
    for number, row in enumerate(rows, start=1):
        check_cells(row, delimiter, f"row {number}")
        texts = {key: _text(value) for key, value in row.items()}
        if any(isinstance(text, str) and "\r" in text for text in texts.values()):
            quoting.writerow(texts[column] for column in columns)  # csv would not quote it
        else:
            writer.writerow(texts)


def check_cells(row: Mapping[str, object], delimiter: str, name: str) -> None:
    """Raise an InputError if a text table cannot store a cell; call this before long work.

    Parameters
    ----------
    row
        Cells by column.
    delimiter
        Separator of the columns.
    name
        Name of the row in the error.
    """
    for column, cell in row.items():
        if not isinstance(cell, str):
            continue
        if delimiter == _TAB and (found := _NOT_IN_TSV.search(cell)):
            raise InputError(
                f"{name}, column {column!r}: the cell has {_NAMED[found[0]]}, which a table "
                "separated by tabs cannot store; write to a file that ends in .csv"
            )
        if "\0" in cell:
            raise InputError(f"{name}, column {column!r}: the cell has a NUL byte; remove it")


def check_parquet() -> None:
    """Raise an InputError unless pyarrow is installed; call this before long work."""
    if find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow: pip install 'megabase[parquet]'; or use .tsv")


def write_parquet(
    path: Path,
    columns: Mapping[str, type],
    rows: Iterable[Mapping[str, object]],
    notes: Mapping[str, str],
) -> None:
    """Write rows to Parquet in row groups; None becomes null.

    Parameters
    ----------
    path
        The file to write.
    columns
        The columns, in order, each with the type of its values: str, int, float or bool.
    rows
        The rows; every row must have each column.
    notes
        Metadata of the schema.
    """
    import pyarrow  # noqa: PLC0415 optional dependency
    from pyarrow import parquet  # noqa: PLC0415 optional dependency

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
    """A Parquet table written by `write_parquet`.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    columns
        The columns, in order, each with the type of its values: str, int, float or bool.
    notes
        Metadata of the schema.

    Raises
    ------
    InputError
        If the file is truncated or damaged, or has columns of other types.
    """

    def __init__(self, path: Path) -> None:
        check_parquet()
        import pyarrow  # noqa: PLC0415 optional dependency
        from pyarrow import parquet  # noqa: PLC0415 optional dependency

        self._path = path
        kinds = {"string": str, "int64": int, "double": float, "bool": bool}
        try:
            schema = parquet.read_schema(path)
            self.columns = {each.name: kinds[str(each.type)] for each in schema}
        except (pyarrow.ArrowInvalid, KeyError) as error:
            raise InputError(f"{path} is damaged, or was not written by megabase") from error
        self.notes = {key.decode(): value.decode() for key, value in schema.metadata.items()}

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield the rows by column; null becomes None."""
        from pyarrow import parquet  # noqa: PLC0415 optional dependency

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
    """Yield each row of a text table by column; empty lines are skipped.

    Parameters
    ----------
    file
        An open text file, or its lines, with a header.
    columns
        The required columns.
    name
        Name of the table in an error.
    delimiter
        Separator of the columns.
    quoted
        Whether a quotation mark at the start of a cell begins a quoted text; None means yes,
        unless the delimiter is a tab.

    Raises
    ------
    InputError
        If a column is missing or repeated, or a row has more or fewer cells than the header.
    """
    csv.field_size_limit(sys.maxsize)  # a megabase of letters exceeds the default limit
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
    """Raise an InputError if a required column is missing, or any column is repeated.

    Parameters
    ----------
    header
        The column names of the table.
    columns
        The required columns.
    name
        Name of the table in the error.
    """
    if not header:
        raise InputError(f"{name} is empty; expected a line with the names of the columns")
    for column in columns:
        if column not in header:
            raise InputError(f"{name} has no column {column!r}; it has {', '.join(header)}")
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise InputError(f"{name} has the column {twice!r} twice; rename one of them")


def check_no_clash(header: Sequence[str], added: Sequence[str], name: str) -> None:
    """Raise an InputError if a table already has a column that is to be added."""
    for column in added:
        if column in header:
            raise InputError(f"{name} already has a column {column!r}; rename it")


def read_rows(
    path: Path,
    columns: Iterable[str],
    *,
    delimiter: str | None = None,
    list_columns: Collection[str] = (),
) -> Iterator[dict[str, str]]:
    """Yield each row of a table as text by column: CSV or TSV, also compressed, or Parquet.

    The suffix determines the format. In text tables, the delimiter (a comma, a tab or a
    semicolon) is recognised from the header line. Cells separated by tabs are quoted if all
    column names are. In Parquet, null becomes an empty text, a list the texts of its values
    joined by `parquet.LIST_JOINT`, and a date or time its ISO 8601 text.

    Parameters
    ----------
    path
        The file, with a header.
    columns
        The required columns.
    delimiter
        Separator of the columns; None recognises it.
    list_columns
        Those of `columns` whose cells may be lists. Columns that are not required may always
        be lists.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, a row has more or fewer cells than the
        header, or a cell is not text, a number, a truth value or a list of those.
    """
    columns = list(columns)
    if not path.is_file():
        raise InputError(f"there is no table {path}")
    if path.suffix.lower() == PARQUET:
        if delimiter is not None:
            raise InputError(f"{path} is Parquet, which has no delimiter; omit --delimiter")
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
    """The form of a text table: its delimiter, and whether cells may be quoted."""

    delimiter: str
    quoted: bool

    def options(self) -> dict[str, Any]:
        """Return the corresponding options of the csv module."""
        if self.quoted:
            return {"quoting": csv.QUOTE_MINIMAL}
        return {"quoting": csv.QUOTE_NONE, "quotechar": None}

    def header(self, line: str) -> list[str]:
        """Return the column names of a header line; empty if it does not have this form."""
        try:
            return next(csv.reader([line], delimiter=self.delimiter, **self.options()), [])
        except csv.Error:
            return []


def _form_of(
    header: str, columns: Sequence[str], usual: str, asked: str | None, name: str
) -> _Form:
    """Return the form of a table, recognised by its first line.

    Parameters
    ----------
    header
        The line.
    columns
        The required columns.
    usual
        The delimiter for the suffix.
    asked
        The delimiter that the user requested, if any.
    name
        Name of the table in an error.
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
    r"""Return the delimiter for a character or a name such as ``tab``.

    Examples
    --------
    >>> read_delimiter("semicolon"), read_delimiter(";"), read_delimiter(r"\t")
    (';', ';', '\t')

    Raises
    ------
    InputError
        If the text is neither a single character nor a known name.
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
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 optional dependency

    n_rows = 0
    try:
        with (
            path.open("rb") as opened,  # pyarrow cannot open a path that is not UTF-8
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
        raise InputError(
            f"{path} is not a complete Parquet file: {reason}; copy it again"
        ) from error
    if n_rows != expected:
        raise InputError(
            f"{path} declares {expected:,} rows, but {n_rows:,} can be read; copy it again"
        )


def _text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.8g}" if isinstance(value, float) else value
