"""Which intervals of a genome are for training, for validation and for the test."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from megabase.errors import InputError
from megabase.genome.interval import Interval

Parts = tuple[list[Interval], list[Interval]]
"""What stays, and what is held out."""


@dataclass(frozen=True)
class Split:
    """Three sets of intervals that share no position.

    Training draws windows from `train`; what is chosen is chosen on `validation`;
    `test` is only reported.
    """

    train: tuple[Interval, ...]
    validation: tuple[Interval, ...]
    test: tuple[Interval, ...]


def hold_out_tail(intervals: Sequence[Interval], fraction: float, *, at_least: int = 1) -> Parts:
    """Hold out the last `fraction` of each interval, one large block of each.

    Where that is shorter than `at_least` and a tenth of the interval is not, `at_least`
    positions are held out.

    Examples
    --------
    >>> (kept,), (held,) = hold_out_tail([Interval("chrI", 0, 1005)], 0.1)
    >>> str(kept), str(held)
    ('chrI:[0, 904)', 'chrI:[904, 1,005)')
    """
    if not 0 <= fraction < 1:
        raise InputError(f"a held-out fraction lies in [0, 1), got {fraction}")
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
    """Hold out what lies in `regions`, and keep what is left of each interval around them."""
    merged = merge(regions)
    kept = [rest for interval in intervals for rest in _without(interval, merged)]
    return kept, [part for interval in intervals for part in within(interval, merged)]


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Join intervals that overlap or touch, whichever their strand, and put them in order."""
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
    """Return the parts of an interval that lie in regions as `merge` returns them, in order."""
    contig, start, end = interval.contig, interval.start, interval.end
    # by bisection: assemblies have many
    first = bisect_right(merged, (contig, start), key=lambda region: (region.contig, region.end))
    last = bisect_left(merged, (contig, end), key=lambda region: (region.contig, region.start))
    return [
        Interval(contig, max(start, region.start), min(end, region.end))
        for region in merged[first:last]
    ]


def _without(interval: Interval, merged: Sequence[Interval]) -> list[Interval]:
    """What is left of an interval when merged regions are taken out."""
    rest: list[Interval] = []
    start = interval.start
    for part in within(interval, merged):
        if part.start > start:
            rest.append(Interval(interval.contig, start, part.start))
        start = part.end
    if start < interval.end:
        rest.append(Interval(interval.contig, start, interval.end))
    return rest
