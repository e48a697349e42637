"""Parts of a split share no position and lose none."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.interval import Interval
from megabase.genome.split import (
    hold_out_contigs,
    hold_out_regions,
    hold_out_tail,
    merge,
    overlap_bp,
)

CONTIGS = [Interval("chrI", 0, 1000), Interval("chrII", 0, 77)]
INTERVALS = st.lists(
    st.builds(
        lambda contig, start, length: Interval(contig, start, start + length),
        st.sampled_from(["chrI", "chrII"]),
        st.integers(0, 60),
        st.integers(1, 30),
    ),
    max_size=6,
)


def positions(intervals):
    return sorted((i.contig, p) for i in intervals for p in range(i.start, i.end))


def test_the_tail_is_the_last_fraction_of_each_contig():
    kept, held = hold_out_tail(CONTIGS, 0.1)
    assert kept == [Interval("chrI", 0, 900), Interval("chrII", 0, 69)]
    assert held == [Interval("chrI", 900, 1000), Interval("chrII", 69, 77)]


def test_the_tail_starts_at_the_floor_of_nine_tenths():
    _, (held,) = hold_out_tail([Interval("K-12", 0, 4_639_675)], 0.1)
    assert held.start == 4_175_707


@given(INTERVALS)
def test_regions_part_the_genome(regions):
    kept, held = hold_out_regions(CONTIGS, regions)
    assert positions([*kept, *held]) == positions(CONTIGS)
    assert set(positions(held)) == set(positions(regions)) & set(positions(CONTIGS))


@given(INTERVALS, INTERVALS)
def test_the_overlap_counts_shared_positions_once(some, others):
    shared = set(positions(some)) & set(positions(others))
    assert overlap_bp(some, others) == len(shared)


@given(INTERVALS)
def test_merging_keeps_positions_and_leaves_gaps(intervals):
    merged = merge(intervals)
    assert positions(merged) == sorted(set(positions(intervals)))
    assert all(a.contig < b.contig or a.end < b.start for a, b in pairwise(merged))


def test_contigs_go_whole():
    kept, held = hold_out_contigs(CONTIGS, ["chrII"])
    assert (kept, held) == ([CONTIGS[0]], [CONTIGS[1]])


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_fraction_beyond_its_range_is_an_error(fraction):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
        hold_out_tail(CONTIGS, fraction)
