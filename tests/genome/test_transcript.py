"""A transcript has the letters of its exons, joined on its strand."""

import pytest

from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference, SplicedReference, Transcript

GENOME = MemoryReference({"chrI": "AAACCCGGGTTT"})


def test_exons_are_joined_and_the_reverse_strand_is_their_reverse_complement():
    forward = Transcript.of("a", [Interval("chrI", 8, 10), Interval("chrI", 1, 4)])
    reverse = Transcript.of("a", [Interval("chrI", 8, 10, "-"), Interval("chrI", 1, 4, "-")])
    spliced = SplicedReference(GENOME, [forward, reverse])
    first, second = spliced.contigs
    assert spliced.lengths == {first: 5, second: 5}
    assert spliced.fetch(Interval(first, 0, 5)) == "AACGT"
    assert spliced.fetch(Interval(second, 0, 5)) == "ACGTT"
    assert spliced.fetch(Interval(second, 1, 3)) == "CG"
    assert spliced.fetch(Interval(first, 0, 2, "-")) == "TT"
    with pytest.raises(ValueError, match="ends beyond its contig"):
        spliced.fetch(Interval(first, 0, 6))


def test_an_exon_that_is_not_in_the_genome_is_an_error_with_its_transcript():
    beyond = Transcript.of("t9", [Interval("chrI", 8, 13)])
    with pytest.raises(ValueError, match=r"'t9': .* ends beyond its contig"):
        SplicedReference(GENOME, [beyond])
