"""Variants: the site and alleles of a record, and the windows of two alleles."""

from collections.abc import Iterator
from typing import NamedTuple

from megabase.genome.vocabulary import DNA


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


class AlleleWindows(NamedTuple):
    """Number of bases before and after each allele in its window.

    Parameters
    ----------
    length
        Length of either window in bp.
    before_ref, before_alt
        Number of bases before the allele.
    after_ref, after_alt
        Number of bases after the allele.
    is_at_edge
        Whether an end of the contig shifted or shortened a window.
    """

    length: int
    before_ref: int
    before_alt: int
    after_ref: int
    after_alt: int
    is_at_edge: bool

    @property
    def n_shared_after(self) -> int:
        """Number of bases after the allele that both windows contain."""
        return min(self.after_ref, self.after_alt)


def allele_windows(
    *, contig_length: int, position: int, n_ref: int, n_alt: int, window: int
) -> AlleleWindows | None:
    """Place windows of equal length on the contig with the reference and the alternative allele.

    Half a window, rounded down, lies before the allele; the shorter allele has more bases of
    the contig after it. Near an end of the contig the windows move inwards, each within its
    own contig. If a contig is shorter than the window, both windows are as long as the shorter
    contig.

    Parameters
    ----------
    contig_length
        Length in bp of the contig with the reference allele.
    position
        0-based position of the first base of the alleles.
    n_ref, n_alt
        Length of each allele in bp, at least 1.
    window
        Length of a window in bp.

    Returns
    -------
    windows
        None if an allele is longer than the second half of a window.

    Examples
    --------
    >>> allele_windows(contig_length=100, position=50, n_ref=1, n_alt=3, window=8)
    AlleleWindows(length=8, before_ref=4, before_alt=4, after_ref=3, after_alt=1, is_at_edge=False)
    """
    with_alt = contig_length - n_ref + n_alt
    length = min(window, contig_length, with_alt)
    if max(n_ref, n_alt) > length - length // 2:
        return None
    # the start of a window is clamped to [0, total - length], so that it stays in its contig
    before = [
        position - max(0, min(position - length // 2, total - length))
        for total in (contig_length, with_alt)
    ]
    return AlleleWindows(
        length=length,
        before_ref=before[0],
        before_alt=before[1],
        after_ref=length - before[0] - n_ref,
        after_alt=length - before[1] - n_alt,
        is_at_edge=length < window or before != [window // 2] * 2,
    )
