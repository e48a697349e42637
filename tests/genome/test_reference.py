"""A genome gives the letters of an interval, and helps who asks for the wrong one."""

import pytest

from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference

GENOME = MemoryReference({"chr1": "AACCGGTTNN", "chrX": "ACGT"})


def test_letters_come_by_half_open_interval():
    assert GENOME.fetch(Interval("chr1", 2, 6)) == "CCGG"


def test_the_minus_strand_is_the_reverse_complement():
    assert GENOME.fetch(Interval("chr1", 4, 10, "-")) == "NNAACC"


@pytest.mark.parametrize(("asked", "near"), [("1", "chr1"), ("chrx", "chrX"), ("chr11", "chr1")])
def test_an_unknown_contig_is_an_error_that_names_a_near_one(asked, near):
    with pytest.raises(ValueError, match=rf"contig '{asked}' is not in .*did you mean '{near}'"):
        GENOME.fetch(Interval(asked, 0, 1))


def test_an_interval_beyond_its_contig_is_an_error_with_the_length():
    with pytest.raises(ValueError, match=r"chrX:\[2, 5\) ends beyond .* 4 bp"):
        GENOME.fetch(Interval("chrX", 2, 5))
