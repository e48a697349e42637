"""Blocks of a multiple alignment of genomes (MAF), one after another."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from megabase.errors import InputError
from megabase.genome.interval import parse_strand
from megabase.io.compression import open_text

_KINDS = ("", "a", "s", "i", "e", "q", "track")
"""How the lines of a MAF file begin, but for comments."""


class AlignedRow(NamedTuple):
    """One sequence of a block.

    Parameters
    ----------
    source
        As in the file: by custom ``species.contig``.
    start
        0-based, on the strand that is named.
    n_bp
        Letters without gaps.
    strand
        ``+``, or ``-`` where the letters are the reverse complement of the source.
    source_length
        Of the whole contig, in bp.
    letters
        With ``-`` for a gap; all rows of a block have as many.
    """

    source: str
    start: int
    n_bp: int
    strand: str
    source_length: int
    letters: str

    @property
    def species(self) -> str:
        """What stands before the first dot of the source."""
        return self.source.partition(".")[0]


def read_maf(path: Path) -> Iterator[list[AlignedRow]]:
    """Yield the rows of each block; of the lines of other kinds (i, e, q, track, #) none is read.

    Parameters
    ----------
    path
        MAF, plain or compressed by gzip or bgzip.

    Raises
    ------
    InputError
        If there is no such file, or at the first line that is no row of an alignment, with
        its number.

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
        raise InputError(f"{path} holds no alignment block; a MAF file has lines 'a' and 's'")


def _kind(line: str, place: str) -> str:
    """Return the word that a line begins with; an InputError unless it is one of the format."""
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
            f"{place}: a row of {len(letters):,} letters in a block of {len(others[0].letters):,}"
        )
    if len(letters) - letters.count("-") != row.n_bp:
        raise InputError(
            f"{place}: {row.n_bp:,} bp are announced, and {len(letters) - letters.count('-'):,} "
            "letters that are no gap follow"
        )
    return row
