"""Site: a position of the genome, its reference allele and the alternatives."""

from collections.abc import Iterator
from typing import NamedTuple

from megabase.genome.alphabet import DNA


class Site(NamedTuple):
    """The position and alleles of one VCF record.

    Parameters
    ----------
    contig
        Name of the sequence.
    position
        0-based position of the first letter of `ref`.
    ref
        The reference allele, in letters.
    alts
        The alternative alleles as written: letters, or a symbol such as ``<DEL>`` or ``*``.
    """

    contig: str
    position: int
    ref: str
    alts: tuple[str, ...]


def substitution_sites(contig: str, letters: str, *, start: int) -> Iterator[Site]:
    """Yield, for each letter that is a base, the site with the three other bases.

    Parameters
    ----------
    contig
        Name of the sequence.
    letters
        Consecutive letters of its forward strand, in either case.
    start
        0-based position of the first letter.

    Examples
    --------
    >>> list(substitution_sites("chrI", "gN", start=7))
    [Site(contig='chrI', position=7, ref='G', alts=('A', 'C', 'T'))]
    """
    for position, ref in enumerate(letters.upper(), start=start):
        if ref in DNA.bases:
            yield Site(contig, position, ref, tuple(base for base in DNA.bases if base != ref))
