"""Split a genome into intervals for training, validation and test."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from megabase.errors import InputError
from megabase.genome.interval import Interval

Parts = tuple[list[Interval], list[Interval]]
"""The intervals that are kept, and those that are held out."""


@dataclass(frozen=True)
class Split:
    """Three sets of intervals that share no position.

    Training draws windows from `train`; models and settings are chosen on `validation`;
    `test` is used only for reported results.
    """

    train: tuple[Interval, ...]
    validation: tuple[Interval, ...]
    test: tuple[Interval, ...]


def hold_out_tail(intervals: Sequence[Interval], fraction: float, *, at_least: int = 1) -> Parts:
    """Hold out the last `fraction` of each interval, as one block.

    If the block is shorter than `at_least` but a tenth of the interval is not, `at_least`
    positions are held out instead.

    Parameters
    ----------
    intervals
        The intervals to split; their strand is ignored.
    fraction
        Fraction to hold out, in [0, 1).
    at_least
        Desired least length of a block in bp.

    Raises
    ------
    InputError
        If `fraction` is not in [0, 1).

    Examples
    --------
    >>> (kept,), (held,) = hold_out_tail([Interval("chrI", 0, 1005)], 0.1)
    >>> str(kept), str(held)
    ('chrI:[0, 904)', 'chrI:[904, 1,005)')
    """
    if not 0 <= fraction < 1:
        raise InputError(f"a held-out fraction must be in [0, 1), got {fraction}")
    kept: list[Interval] = []
    held: list[Interval] = []
    for interval in intervals:
        cut = interval.start + math.floor((1 - fraction) * len(interval))
        if fraction and interval.end - cut < at_least <= len(interval) // 10:
            cut = interval.end - at_least
        kept += [Interval(interval.contig, interval.start, cut)] if cut > interval.start else []
        held += [Interval(interval.contig, cut, interval.end)] if cut < interval.end else []
    return kept, held


def hold_out_contigs(intervals: Sequence[Interval], contigs: Iterable[str]) -> Parts:
    """Hold out every interval that lies on one of `contigs`."""
    names = set(contigs)
    kept = [interval for interval in intervals if interval.contig not in names]
    return kept, [interval for interval in intervals if interval.contig in names]


def hold_out_regions(intervals: Sequence[Interval], regions: Iterable[Interval]) -> Parts:
    """Hold out the positions in `regions`, and keep the rest of each interval."""
    merged = merge(regions)
    kept = [rest for interval in intervals for rest in _without(interval, merged)]
    return kept, [part for interval in intervals for part in within(interval, merged)]


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Join intervals that overlap or touch, whatever their strand, and sort them."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        last = merged[-1] if merged else None
        if last and last.contig == interval.contig and interval.start <= last.end:
            merged[-1] = Interval(last.contig, last.start, max(last.end, interval.end))
        else:
            merged.append(Interval(interval.contig, interval.start, interval.end))
    return merged


def overlap_bp(intervals: Iterable[Interval], others: Iterable[Interval]) -> int:
    """Count the positions that two sets of intervals share."""
    merged = merge(others)
    return sum(len(part) for interval in merge(intervals) for part in within(interval, merged))


def within(interval: Interval, merged: Sequence[Interval]) -> list[Interval]:
    """Return the parts of an interval that lie in sorted regions, in order.

    Parameters
    ----------
    interval
        The interval to intersect; its strand is ignored.
    merged
        Disjoint sorted regions, from `merge`.
    """
    contig, start, end = interval.contig, interval.start, interval.end
    # bisection, because assemblies can have very many regions
    first = bisect_right(merged, (contig, start), key=lambda region: (region.contig, region.end))
    last = bisect_left(merged, (contig, end), key=lambda region: (region.contig, region.start))
    return [
        Interval(contig, max(start, region.start), min(end, region.end))
        for region in merged[first:last]
    ]


def _without(interval: Interval, merged: Sequence[Interval]) -> list[Interval]:
    """Return the parts of an interval that lie outside merged regions."""
    rest: list[Interval] = []
    start = interval.start
    for part in within(interval, merged):
        if part.start > start:
            rest.append(Interval(interval.contig, start, part.start))
        start = part.end
    if start < interval.end:
        rest.append(Interval(interval.contig, start, interval.end))
    return rest
