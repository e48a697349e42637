"""Cut sequences longer than the context into overlapping windows that score each base once."""

from collections.abc import Iterator
from typing import NamedTuple

from megabase.errors import InputError
from megabase.genome.interval import Interval

MODES = ("exact", "gradient")
"""Modes of mutagenesis: each substitution by itself, or all to first order from a gradient."""


class Window(NamedTuple):
    """A window that reads ``start <= position < end`` and scores the positions from `first` on."""

    start: int
    end: int
    first: int


def windows(length: int, context_length: int, stride: int) -> list[Window]:
    """Return the windows of a sequence; they depend on these three numbers alone.

    Each window is as long as the context and starts `stride` after the one before; the last is
    moved back to end with the sequence. Except in the first window, at least
    ``context_length - stride`` bases precede every scored base.

    Parameters
    ----------
    length
        Length of the sequence, in base pairs.
    context_length
        The most tokens that the model reads.
    stride
        Bases between the starts of windows, from 1 to the context length.

    Raises
    ------
    InputError
        If the stride is out of range.

    Examples
    --------
    >>> [tuple(window) for window in windows(10, 6, 3)]
    [(0, 6, 0), (3, 9, 6), (4, 10, 9)]
    """
    if not 1 <= stride <= context_length:
        raise InputError(
            f"the stride must be from 1 to the context of {context_length:,} tokens, got {stride:,}"
        )
    found = [Window(0, min(context_length, length), 0)]
    while found[-1].end < length:
        end = min(found[-1].end + stride, length)
        found.append(Window(end - context_length, end, found[-1].end))
    return found


def describe_windows(context_length: int, stride: int) -> str:
    """Describe in one line how much context the bases of a sequence cut into windows have.

    Examples
    --------
    >>> describe_windows(1024, 256)
    'windows of 1,024 bp every 256 bp: at least 768 bp precede a base, except in the first window'
    """
    return (
        f"windows of {context_length:,} bp every {stride:,} bp: at least "
        f"{context_length - stride:,} bp precede a base, except in the first window"
    )


def gradient_windows(region: Interval, *, contig_length: int, window: int) -> Iterator[Window]:
    """Yield the windows that the gradient mode reads.

    The contig is cut from its start into pieces of half a window. Each piece is read in a
    window centred on it, which is moved inwards at the ends of the contig. A base therefore has
    at least a quarter of a window on either side, except near those ends. The grid starts with
    the contig, not the region, so that values do not depend on the region.

    Parameters
    ----------
    region
        The bases to score.
    contig_length
        Length of the contig, in bases.
    window
        Bases of a window.

    Yields
    ------
    window
        Start and end on the contig, and the first base that the window scores; it scores up to
        the first base of the next window, or the end of the region.

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
