"""A genome opens by its suffix."""

from megabase.genome.reference import MemoryReference
from megabase.io.fasta import FastaReference
from megabase.io.genome_file import open_reference
from megabase.io.twobit import TwoBitReference, write_twobit
from tests.toys import write_fasta


def test_2bit_and_fasta_are_told_apart(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "ACGT"})
    write_twobit(MemoryReference({"chrI": "ACGT"}), tmp_path / "genome.2bit")
    assert isinstance(open_reference(fasta, cache=tmp_path), FastaReference)
    assert isinstance(open_reference(tmp_path / "genome.2bit", cache=tmp_path), TwoBitReference)
