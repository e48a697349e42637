"""The windows of two alleles: equally long, and the variant at the same place in both."""

from typing import NamedTuple


class AlleleWindows(NamedTuple):
    """Bases of the contig that stand around each allele in its window.

    Parameters
    ----------
    length
        Bases of either window.
    before_ref, before_alt
        Bases before the allele.
    after_ref, after_alt
        Bases after the allele.
    is_at_edge
        Whether an end of the contig moved or shortened a window.
    """

    length: int
    before_ref: int
    before_alt: int
    after_ref: int
    after_alt: int
    is_at_edge: bool

    @property
    def n_shared_after(self) -> int:
        """Bases after the allele that both windows hold."""
        return min(self.after_ref, self.after_alt)


def allele_windows(
    *, contig_length: int, position: int, n_ref: int, n_alt: int, window: int
) -> AlleleWindows | None:
    """Lay a window of equal length over the contig as it is, and as it is with the alternative.

    Half a window, rounded down, lies before the allele; the shorter allele has more of the
    contig after it. Near an end of the contig the windows move inwards, each within its own
    contig; where a contig is shorter than the window, both windows are as long as the
    shorter contig. Nothing else decides where they lie.

    Parameters
    ----------
    contig_length
        Bases of the contig with the reference allele.
    position
        0-based position of the first base of the alleles.
    n_ref, n_alt
        Bases of the alleles, each at least 1.
    window
        Bases of a window.

    Returns
    -------
    windows
        None where an allele is longer than what a window has from the allele on.

    Examples
    --------
    >>> allele_windows(contig_length=100, position=50, n_ref=1, n_alt=3, window=8)
    AlleleWindows(length=8, before_ref=4, before_alt=4, after_ref=3, after_alt=1, is_at_edge=False)
    """
    with_alt = contig_length - n_ref + n_alt
    length = min(window, contig_length, with_alt)
    if max(n_ref, n_alt) > length - length // 2:
        return None
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
