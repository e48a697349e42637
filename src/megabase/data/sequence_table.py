"""The sequences of a table: written out in it, or intervals of a genome; and those of FASTA."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from megabase.data.class_folder import read_class_folder, read_sequence_rows
from megabase.errors import InputError
from megabase.genome.interval import Interval, parse_strand
from megabase.genome.reference import Reference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.bed import is_bed, read_bed
from megabase.io.sequence_file import holds_sequences
from megabase.io.table import check_columns, read_rows
from megabase.run.log import counted

CROPS = ("centre", "left", "random")
"""Which part of a sequence that is longer than the context is kept."""

SEQUENCE = "sequence"
"""The column of sequences."""

_BED_COLUMNS = ["contig", "start", "end", "name", "strand"]

_log = logging.getLogger(__name__)


class Record(NamedTuple):
    """A row as it stands, the tokens of its sequence, and their place in the genome, if any."""

    row: dict[str, str]
    tokens: UInt8[np.ndarray, " length"]
    place: Interval | None = None


class SequenceTable:
    """Reads a table row by row, as often as it is asked.

    Parameters
    ----------
    path
        CSV, TSV or Parquet with a column ``sequence``; or with the columns ``contig``,
        ``start``, ``end`` (0-based, half-open) and perhaps ``strand``, and a genome; or BED,
        whose columns are these and ``name``. Or FASTA or FASTQ, whose rows are ``name`` (the
        whole header) and ``sequence``; or a folder of such files, whose rows also have
        ``label``, as `class_folder` says.
    columns
        What columns it must have besides.
    sequence_column
        Another name of the column ``sequence``.
    delimiter, list_columns
        As of `read_rows`.
    reference
        The genome of its intervals; None: sequences are written out.
    context_length
        The most tokens that the model reads; None: any.
    n_prompt_tokens
        How many of them a soft prompt takes from each sequence.
    crop
        One of `CROPS`, for longer ones; ``"random"``: from a place that is drawn once for each
        row. None: a longer one is an error.
    seed
        Fixes that draw.
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
            raise InputError(f"crop is one of {', '.join(CROPS)}; got {crop!r}")
        self.path = path
        self._is_fasta = path.is_dir() or holds_sequences(path)
        self._reference = reference
        if reference is not None and sequence_column != SEQUENCE:
            raise InputError("a genome has the sequences; leave --sequence-column out")
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
        """Give each row with its tokens; at the end the log says what was cut and read as N.

        Parameters
        ----------
        tell
            Whether it does.

        Raises
        ------
        InputError
            If the table cannot be read or holds no row, or at the first sequence that is
            empty, no DNA, no part of the genome, or too long.
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
            raise InputError(f"{self.path} holds no row; a line is one sequence")
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
            raise InputError(f"a genome goes with intervals; {self.path} has its own letters")
        is_table = not (self._is_fasta or is_bed(self.path))
        if self._delimiter is not None and not is_table:
            raise InputError(f"--delimiter is of a CSV or TSV file, and {self.path} is not one")
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
            raise InputError(f"the intervals of {self.path} need the genome they are of: --genome")
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
        """Say from which token up to which a sequence is kept."""
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
        mends = f"take --crop {'|'.join(CROPS)} to cut it, or a model with a longer context"
        n, context = self._n_prompt_tokens, limit + self._n_prompt_tokens
        if not n:
            return f"{name} has {length:,} bp, and the model reads at most {limit:,}; {mends}"
        fit = f"; at most {context - length:,} fit beside it" if length < context else ""
        return (
            f"{name} has {length:,} bp, and the model reads {context:,} tokens, of which {n:,} are "
            f"of the prompt{fit}; {mends}"
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
                f"the strand is read from a column 'strand', and there is {column!r}; rename it, "
                "or remove it if every interval is on the forward strand"
            )
    return "+"
