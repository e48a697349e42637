"""A range of GC is a pair of exact fractions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.constraint import GcRange


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 500))
def test_the_counts_are_those_whose_fraction_lies_in_the_range(one, other, length):
    low, high = sorted((one, other))
    least, most = GcRange.from_text(f"{low / 100}-{high / 100:.2f}").counts(length)
    expected = [n for n in range(length + 1) if low * length <= 100 * n <= high * length]
    assert list(range(least, most + 1)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.6-0.4", "lies within 0-1, lower end first; got 0.6-0.4"),
        ("40-60", "40 % is 0.4"),
        ("0.4", "is LOW-HIGH, such as 0.4-0.6; got '0.4'"),
        ("-0.1-0.5", "got '-0.1-0.5'"),
        ("", "got ''"),
    ],
)
def test_an_invalid_range_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        GcRange.from_text(text)
