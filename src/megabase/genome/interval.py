"""Interval: a stretch of a contig, 0-based and half-open, on one strand."""

import re
import sys
from dataclasses import dataclass, replace

from megabase.errors import InputError

_STRANDS = {
    "+": "+", "1": "+", "+1": "+", "1.0": "+", ".": "+",
    "-": "-", "-1": "-", "-1.0": "-",
}  # fmt: skip


def parse_strand(text: str) -> str:
    """Return ``"+"`` or ``"-"`` for a strand as it is written in files.

    ``+``, ``1`` and ``+1`` are the forward strand, ``-`` and ``-1`` the reverse strand (Ensembl
    and BioMart write numbers; table readers turn a numeric column with missing values into
    ``1.0`` and ``-1.0``). ``.``, which means no strand, is read as forward.

    Raises
    ------
    InputError
        If the text is anything else, including an empty cell or a strand with spaces.

    Examples
    --------
    >>> [parse_strand(text) for text in ("+", "-", ".", "1", "+1", "-1")]
    ['+', '-', '+', '+', '+', '-']
    """
    if text not in _STRANDS:
        raise InputError(f"a strand is +, -, 1, +1, -1, or . (no strand, read as +); got {text!r}")
    return _STRANDS[text]


@dataclass(frozen=True, order=True)
class Interval:
    """The positions ``start <= position < end`` of a contig.

    Parameters
    ----------
    contig
        Name of the sequence, as in the FASTA file.
    start, end
        0-based, half-open, in base pairs; ``start < end``.
    strand
        ``"+"``, or ``"-"`` for the reverse complement of these positions.
    """

    contig: str
    start: int
    end: int
    strand: str = "+"

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= sys.maxsize:  # len() allows no more
            raise InputError(
                f"an interval needs 0 <= start < end < 2^63 (0-based, half-open), "
                f"got {self.contig}:[{self.start}, {self.end})"
            )
        if self.strand not in ("+", "-"):
            raise InputError(f"a strand is '+' or '-', got {self.strand!r} for {self}")

    def __str__(self) -> str:
        return f"{self.contig}:[{self.start:,}, {self.end:,})"

    def __len__(self) -> int:
        return self.end - self.start

    @classmethod
    def from_region(cls, text: str) -> "Interval":
        """Read a region such as ``chr1:1,001-2,000``: 1-based, both ends included.

        Raises
        ------
        InputError
            If the text has another form, or the region is empty.

        Examples
        --------
        >>> Interval.from_region("chr20:1,001-2,000")
        Interval(contig='chr20', start=1000, end=2000, strand='+')
        """
        match = re.fullmatch(r"(?P<contig>.+):(?P<first>\d[\d,]*)-(?P<last>\d[\d,]*)", text.strip())
        if match is None:
            raise InputError(
                f"a region is contig:first-last, such as chr1:1,001-2,000; got {text!r}"
            )
        first, last = (int(match[key].replace(",", "")) for key in ("first", "last"))
        return cls(match["contig"], first - 1, last)

    def overlaps(self, other: "Interval") -> bool:
        """Return whether the two share a position, whatever their strands."""
        return self.contig == other.contig and self.start < other.end and other.start < self.end

    def part(self, first: int, last: int) -> "Interval":
        """Return the sub-interval ``[first, last)``, counted from 0 in the order of the strand.

        Examples
        --------
        >>> Interval("chrI", 10, 20, "-").part(0, 3)
        Interval(contig='chrI', start=17, end=20, strand='-')
        """
        if self.strand == "-":
            first, last = len(self) - last, len(self) - first
        return replace(self, start=self.start + first, end=self.start + last)

    def windows(self, length: int) -> list["Interval"]:
        """Return consecutive windows of `length` bp, in forward order; the last may be shorter.

        Examples
        --------
        >>> [len(window) for window in Interval("chrI", 0, 10).windows(4)]
        [4, 4, 2]
        """
        starts = range(self.start, self.end, length)
        return [replace(self, start=s, end=min(s + length, self.end)) for s in starts]
