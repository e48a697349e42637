"""Read the blocks of a multiple alignment of genomes (MAF)."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from megabase.errors import InputError
from megabase.genome.interval import parse_strand
from megabase.io.compression import open_text

_KINDS = ("", "a", "s", "i", "e", "q", "track")
"""The first words of lines of a MAF file, except for comments."""


class AlignedRow(NamedTuple):
    """One aligned sequence of a block.

    Parameters
    ----------
    source
        Name in the file, by convention ``species.contig``.
    start
        0-based start, counted on `strand`.
    n_bp
        Number of letters without gaps.
    strand
        ``+``, or ``-`` if the letters are the reverse complement of the source.
    source_length
        Length of the whole contig in bp.
    letters
        Letters, with ``-`` for a gap; equally many in all rows of a block.
    """

    source: str
    start: int
    n_bp: int
    strand: str
    source_length: int
    letters: str

    @property
    def species(self) -> str:
        """The part of the source before the first dot."""
        return self.source.partition(".")[0]


def read_maf(path: Path) -> Iterator[list[AlignedRow]]:
    """Yield the rows of each block; lines of other types (i, e, q, track, #) are skipped.

    Parameters
    ----------
    path
        MAF, plain or compressed by gzip or bgzip.

    Raises
    ------
    InputError
        If the file is missing or has no block, or a line is invalid; the message has the number
        of the first such line.

    Source
    ------
    The format: UCSC Genome Browser, "MAF file format".
    """
    rows: list[AlignedRow] = []
    n_blocks = 0
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            place = f"{path}, line {number}"
            kind = _kind(line, place)
            if kind == "s":
                rows.append(_read_row(line, place, rows))
            elif kind in ("a", "") and rows:
                yield rows
                rows, n_blocks = [], n_blocks + 1
    if rows:
        yield rows
    elif not n_blocks:
        raise InputError(f"{path} has no alignment block; a MAF file has lines 'a' and 's'")


def _kind(line: str, place: str) -> str:
    """Return the first word of a line; raise an InputError if it is invalid."""
    kind = (line.split(maxsplit=1) or [""])[0]
    if kind not in _KINDS and not kind.startswith("#"):
        raise InputError(
            f"{place}: a line of MAF begins with {', '.join(_KINDS[1:])} or #, got "
            f"{line[:60].strip()!r}"
        )
    return kind


def _read_row(line: str, place: str, others: list[AlignedRow]) -> AlignedRow:
    fields = line.split()
    try:
        _, source, start, n_bp, strand, source_length, letters = fields
        row = AlignedRow(source, int(start), int(n_bp), strand, int(source_length), letters)
    except ValueError as error:
        raise InputError(
            f"{place}: expected s, source, start, size, strand, length and letters, "
            f"got {line[:60].strip()!r}"
        ) from error
    try:
        parse_strand(strand)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    if others and len(letters) != len(others[0].letters):
        raise InputError(
            f"{place}: the row has {len(letters):,} letters, but its block has "
            f"{len(others[0].letters):,}"
        )
    if len(letters) - letters.count("-") != row.n_bp:
        raise InputError(
            f"{place}: expected {row.n_bp:,} letters without gaps, got "
            f"{len(letters) - letters.count('-'):,}"
        )
    return row
