"""Intervals are 0-based and half-open; only regions that people write are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.interval import Interval


def test_a_region_counts_from_one_and_includes_its_end():
    assert Interval.from_region("chrI:1-10") == Interval("chrI", 0, 10)
    assert Interval.from_region("gi|1|ref|NC_1.1|:2,001-3,000") == Interval(
        "gi|1|ref|NC_1.1|", 2000, 3000
    )


@pytest.mark.parametrize("text", ["chrI", "chrI:5", "chrI:a-b", "chrI:0-10", "chrI:10-9"])
def test_an_invalid_region_is_an_error(text):
    with pytest.raises(ValueError, match=r"region is contig|needs 0 <= start < end"):
        Interval.from_region(text)


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (6, 5)])
def test_an_interval_holds_at_least_one_position(start, end):
    with pytest.raises(ValueError, match="0 <= start < end"):
        Interval("chrI", start, end)


def test_a_strand_is_plus_or_minus():
    with pytest.raises(ValueError, match=r"got '\.'"):
        Interval("chrI", 0, 5, ".")


def test_touching_is_not_overlapping():
    assert not Interval("chrI", 0, 5).overlaps(Interval("chrI", 5, 9))
    assert Interval("chrI", 0, 6).overlaps(Interval("chrI", 5, 9))
    assert not Interval("chrI", 0, 6).overlaps(Interval("chrII", 0, 6))


@given(st.integers(0, 50), st.integers(1, 200), st.integers(1, 60))
def test_windows_cover_each_position_once(start, length, window):
    windows = Interval("chrI", start, start + length).windows(window)
    covered = [position for w in windows for position in range(w.start, w.end)]
    assert covered == list(range(start, start + length))
    assert all(len(w) == window for w in windows[:-1])
