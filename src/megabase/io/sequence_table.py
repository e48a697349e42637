"""The sequences of a table, a FASTA file, a folder of classes, or intervals of a genome."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError, counted
from megabase.genome.interval import Interval, parse_strand
from megabase.genome.reference import Reference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.annotation import is_bed, read_bed
from megabase.io.compression import uncompressed_name
from megabase.io.sequence_file import has_sequence_suffix, holds_sequences, read_sequences
from megabase.io.tables import check_columns, read_rows

_log = logging.getLogger(__name__)

SEQUENCE, LABEL = "sequence", "label"
"""The columns of sequences and of labels."""

_INDEXES = (".fai", ".gzi")


def class_files(folder: Path, *, tell: bool = False) -> dict[str, Path]:
    """Return the FASTA or FASTQ file of each class, keyed by its name without the suffix.

    ``promoter.fa`` and ``promoter.fastq.gz`` both hold the class ``promoter``.

    Parameters
    ----------
    folder
        The folder that holds the files.
    tell
        Whether to log which other files are skipped.

    Raises
    ------
    InputError
        If the folder holds no such file, or two files of the same class.
    """
    found: dict[str, Path] = {}
    others: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix in _INDEXES:
            continue
        if not path.is_file() or not has_sequence_suffix(path):
            others.append(path.name)
            continue
        name = Path(uncompressed_name(path)).stem
        if name in found:
            raise InputError(f"{folder} has two files of the class {name!r}; join them into one")
        found[name] = path
    if not found:
        raise InputError(
            f"{folder} holds no FASTA file; expected one for each class, such as promoter.fa"
        )
    if tell and others:
        _log.info(
            "%s: skipped %s: the name is not that of a FASTA or FASTQ file",
            folder,
            ", ".join(others),
        )
    return found


def read_class_folder(
    folder: Path, columns: Iterable[str] = (), *, tell: bool = True
) -> Iterator[dict[str, str]]:
    """Yield name, sequence and label of every sequence, class by class in alphabetical order.

    Parameters
    ----------
    folder
        The folder that holds one FASTA or FASTQ file per class.
    columns
        The columns that the caller needs.
    tell
        Whether to log which files are skipped, and that qualities or blanks are left out.

    Raises
    ------
    InputError
        If the folder holds no such file or two files of the same class, a column other than
        ``name``, ``sequence`` and ``label`` is needed, or a file cannot be read or is empty.
    """
    others = [column for column in columns if column != LABEL]
    for label, path in class_files(folder, tell=tell).items():
        for row in read_sequence_rows(path, others, tell=tell):
            yield {**row, LABEL: label}


def read_sequence_rows(
    path: Path, columns: Iterable[str] = (), *, tell: bool = True
) -> Iterator[dict[str, str]]:
    """Yield every sequence of a FASTA or FASTQ file; its name is the whole header.

    Parameters
    ----------
    path
        The file, plain or compressed by gzip or bgzip.
    columns
        The columns that the caller needs.
    tell
        Whether to log that qualities or blanks are left out.

    Raises
    ------
    InputError
        If a column other than ``name`` and ``sequence`` is needed, or the file is missing,
        truncated, damaged or of another format.
    """
    if lacking := [column for column in columns if column not in ("name", "sequence")]:
        raise InputError(
            f"{path} is FASTA or FASTQ, which has no column {lacking[0]!r}; use a table or, for "
            "classes, a folder with one such file per class"
        )
    for record in read_sequences(path, tell=tell):
        yield {"name": record.header, "sequence": record.letters}


CROPS = ("centre", "left", "random")
"""Which part of a sequence that is longer than the context is kept."""

_BED_COLUMNS = ["contig", "start", "end", "name", "strand"]


class Record(NamedTuple):
    """A row as read, the tokens of its sequence, and their interval in the genome, if any."""

    row: dict[str, str]
    tokens: UInt8[np.ndarray, " length"]
    place: Interval | None = None


class SequenceTable:
    """A table of sequences, read row by row; it can be read repeatedly.

    Parameters
    ----------
    path
        CSV, TSV or Parquet with a column ``sequence``, or, with a genome, the columns
        ``contig``, ``start``, ``end`` (0-based, half-open) and optionally ``strand``. BED has
        these columns and ``name``. FASTA or FASTQ has the columns ``name`` (the whole header)
        and ``sequence``; a folder with one such file per class also has ``label``.
    columns
        Further columns that the table must have.
    sequence_column
        Name of the column of sequences.
    delimiter
        Character that separates the columns of CSV or TSV; None: inferred from the file.
    list_columns
        Columns of Parquet that may hold lists; their items are joined into one text.
    reference
        The genome of the intervals; None: the table contains the sequences.
    context_length
        Largest number of tokens that the model reads; None: no limit.
    n_prompt_tokens
        Number of tokens of the context that a soft prompt takes.
    crop
        One of `CROPS`: which part of a longer sequence is kept; ``"random"`` draws it once for
        each row. None: a longer sequence is an error.
    seed
        Seed of that draw.
    """

    def __init__(
        self,
        path: Path,
        *,
        columns: Sequence[str] = (),
        sequence_column: str = SEQUENCE,
        delimiter: str | None = None,
        list_columns: Sequence[str] = (),
        reference: Reference | None = None,
        context_length: int | None = None,
        n_prompt_tokens: int = 0,
        crop: str | None = None,
        seed: int = 0,
    ) -> None:
        if crop is not None and crop not in CROPS:
            raise InputError(f"crop must be one of {', '.join(CROPS)}; got {crop!r}")
        self.path = path
        self._is_fasta = path.is_dir() or holds_sequences(path)
        self._reference = reference
        if reference is not None and sequence_column != SEQUENCE:
            raise InputError("the sequences come from the genome; leave out --sequence-column")
        of_place = (sequence_column,) if reference is None else ("contig", "start", "end")
        self._columns = (*of_place, *columns)
        self._sequence_column = sequence_column
        self._delimiter, self._list_columns = delimiter, list_columns
        self._longest = None if context_length is None else context_length - n_prompt_tokens
        if self._longest is not None and self._longest < 1:
            raise InputError(
                f"{n_prompt_tokens:,} prompt tokens leave no room for a sequence in a context of "
                f"{context_length:,}"
            )
        self._n_prompt_tokens = n_prompt_tokens
        self._crop = crop
        self._seed = seed

    def records(self, *, tell: bool = True) -> Iterator[Record]:
        """Yield each row with its tokens.

        Parameters
        ----------
        tell
            Whether to log how many sequences were cropped and how many letters were read as N.

        Raises
        ------
        InputError
            If the table cannot be read or has no rows, or at the first sequence that is empty,
            not DNA, not inside the genome, or too long.
        """
        n_rows = n_cropped = n_ambiguous = 0
        for n_rows, row in enumerate(self._rows(tell=tell), start=1):
            name = f"{self.path}, row {n_rows}" + (f" ({row['name']})" if self._is_fasta else "")
            place = None if self._reference is None else _place(row, name)
            encoded = DNA_VOCABULARY.encode(self._letters(row, place, name), name=name)
            n_ambiguous += encoded.n_ambiguous
            first, last = self._kept(len(encoded.tokens), n_rows, name)
            n_cropped += last - first < len(encoded.tokens)
            yield Record(row, encoded.tokens[first:last], place and place.part(first, last))
        if not n_rows:
            raise InputError(f"{self.path} has no rows; expected one sequence per row")
        if tell and n_cropped:
            _log.info(
                "%s: %s of %s cut to %s bp (--crop %s)", self.path, f"{n_cropped:,}",
                counted(n_rows, "sequence was", "sequences were"), f"{self._longest:,}", self._crop,
            )  # fmt: skip
        if tell and n_ambiguous:
            n = counted(n_ambiguous, "ambiguous letter was", "ambiguous letters were")
            _log.info("%s: %s read as N", self.path, n)

    def _rows(self, *, tell: bool) -> Iterator[dict[str, str]]:
        if self._is_fasta and self._reference is not None:
            raise InputError(
                f"a genome is only for intervals, and {self.path} contains sequences; leave out "
                "--genome"
            )
        is_table = not (self._is_fasta or is_bed(self.path))
        if self._delimiter is not None and not is_table:
            raise InputError(f"--delimiter is only for CSV or TSV, and {self.path} is neither")
        if self.path.is_dir():
            return read_class_folder(self.path, self._columns, tell=tell)
        if self._is_fasta:
            return read_sequence_rows(self.path, self._columns, tell=tell)
        if is_bed(self.path):
            return self._bed_rows()
        return read_rows(
            self.path, self._columns, delimiter=self._delimiter, list_columns=self._list_columns
        )

    def _bed_rows(self) -> Iterator[dict[str, str]]:
        if self._reference is None:
            raise InputError(f"the intervals of {self.path} need their genome; give --genome")
        records = read_bed(self.path)
        check_columns(_BED_COLUMNS, self._columns, str(self.path))
        for place, label in records:
            cells = (place.contig, str(place.start), str(place.end), label, place.strand)
            yield dict(zip(_BED_COLUMNS, cells, strict=True))

    def _letters(self, row: dict[str, str], place: Interval | None, name: str) -> str:
        if self._reference is None or place is None:
            if not (letters := row[self._sequence_column]):
                raise InputError(f"{name}: the sequence is empty; remove the row")
            return letters
        try:
            return self._reference.fetch(place)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error

    def _kept(self, n_tokens: int, row: int, name: str) -> tuple[int, int]:
        """Return the first token that is kept of a sequence, and the end."""
        limit = self._longest
        if limit is None or n_tokens <= limit:
            return 0, n_tokens
        beyond = n_tokens - limit
        match self._crop:
            case "centre":
                start = beyond // 2
            case "left":
                start = 0
            case "random":
                start = int(np.random.default_rng([self._seed, row]).integers(beyond + 1))
            case _:
                raise InputError(self._too_long(n_tokens, limit, name))
        return start, start + limit

    def _too_long(self, length: int, limit: int, name: str) -> str:
        remedy = f"use --crop {'|'.join(CROPS)} to cut it, or a model with a longer context"
        n, context = self._n_prompt_tokens, limit + self._n_prompt_tokens
        if not n:
            return f"{name} has {length:,} bp, and the model reads at most {limit:,}; {remedy}"
        fit = f" (at most {context - length:,} would fit)" if length < context else ""
        return (
            f"{name} has {length:,} bp, and the model reads {context:,} tokens, of which the "
            f"prompt takes {n:,}{fit}; {remedy}"
        )


def _place(row: dict[str, str], name: str) -> Interval:
    try:
        start, end = int(row["start"]), int(row["end"])
    except ValueError as error:
        raise InputError(
            f"{name}: expected whole numbers in start and end, got {row['start']!r} and "
            f"{row['end']!r}"
        ) from error
    try:
        return Interval(row["contig"], start, end, _strand(row))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _strand(row: dict[str, str]) -> str:
    if "strand" in row:
        return parse_strand(row["strand"])
    for column in row:
        if column.strip().lower() == "strand":
            raise InputError(
                f"expected the strand in a column named 'strand', got {column!r}; rename it, or "
                "remove it if every interval is on the forward strand"
            )
    return "+"
