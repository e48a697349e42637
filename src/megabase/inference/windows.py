"""Cut what is longer than the context into windows that overlap, each base scored once."""

from collections.abc import Iterator
from typing import NamedTuple

from megabase.errors import InputError
from megabase.genome.interval import Interval

MODES = ("exact", "gradient")
"""Each substitution by itself; or all from the gradient, to first order."""


class Window(NamedTuple):
    """The positions ``start <= position < end`` are read, those from `first` on are scored."""

    start: int
    end: int
    first: int


def windows(length: int, context_length: int, stride: int) -> list[Window]:
    """Give the windows of a sequence, a function of these three numbers alone.

    Each is as long as the context, the next starts `stride` further, and the last is moved
    back to end with the sequence. So every base but those of the first window sees at least
    ``context_length - stride`` bases before it.

    Parameters
    ----------
    length
        Of the sequence, in base pairs.
    context_length
        The most tokens that are read at once.
    stride
        Bases between the starts of windows, from 1 to the context length.

    Raises
    ------
    InputError
        If the stride is below 1, or leaves gaps.

    Examples
    --------
    >>> [tuple(window) for window in windows(10, 6, 3)]
    [(0, 6, 0), (3, 9, 6), (4, 10, 9)]
    """
    if not 1 <= stride <= context_length:
        raise InputError(
            f"a stride is between 1 and the context of {context_length:,} tokens, got {stride:,}"
        )
    found = [Window(0, min(context_length, length), 0)]
    while found[-1].end < length:
        end = min(found[-1].end + stride, length)
        found.append(Window(end - context_length, end, found[-1].end))
    return found


def describe_windows(context_length: int, stride: int) -> str:
    """Say in a line what each base of a sequence that is cut into windows sees.

    Examples
    --------
    >>> describe_windows(1024, 256)
    'windows of 1,024 bp, one each 256 bp: a base sees at least 768 before it, but for the first'
    """
    return (
        f"windows of {context_length:,} bp, one each {stride:,} bp: a base sees at least "
        f"{context_length - stride:,} before it, but for the first"
    )


def gradient_windows(region: Interval, *, contig_length: int, window: int) -> Iterator[Window]:
    """Give the windows that the gradient mode reads, and which bases each answers for.

    The contig is cut, from its start, into pieces of half a window; each is read in a
    window that has it in the middle, or moved inwards at an end of the contig. So a base
    sees at least a quarter of a window on either side, but for the ends.

    Parameters
    ----------
    region
        The bases that are wanted.
    contig_length
        Bases of its contig.
    window
        Bases of a window.

    Yields
    ------
    window
        Its start and end on the contig, and the first base that it answers for; up to the
        first of the next, or the end of the region.

    Examples
    --------
    >>> region = Interval("chrI", 10, 30)
    >>> [tuple(each) for each in gradient_windows(region, contig_length=100, window=32)]
    [(0, 32, 10), (8, 40, 16)]
    """
    piece = window // 2
    for start in range(region.start // piece * piece, region.end, piece):
        left = max(0, min(start - (window - piece) // 2, contig_length - window))
        yield Window(left, min(left + window, contig_length), max(start, region.start))
