"""Regions of a BED file are checked against their genome."""

import pytest

from megabase.data.sequence_table import read_regions
from megabase.data.token_store import open_token_store
from megabase.genome.interval import Interval
from tests.toys import write_fasta


def test_regions_lie_within_the_genome(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chr1": "ACGT" * 5})
    store = open_token_store(fasta, cache=tmp_path)
    bed = tmp_path / "regions.bed"
    bed.write_text("chr1\t0\t20\n")
    assert read_regions(bed, store) == [Interval("chr1", 0, 20)]
    bed.write_text("chr1\t0\t21\n")
    with pytest.raises(ValueError, match="ends beyond its contig, which has 20 bp"):
        read_regions(bed, store)
    bed.write_text("1\t0\t5\n")
    with pytest.raises(ValueError, match="did you mean 'chr1'"):
        read_regions(bed, store)
