"""A genome opens by its content, and another format is named."""

import gzip

import pytest

from megabase.errors import InputError
from megabase.genome.reference import MemoryReference
from megabase.io.fasta import FastaReference
from megabase.io.genome_file import open_reference
from megabase.io.twobit import TwoBitReference, write_twobit
from tests.toys import write_fasta


def test_2bit_and_fasta_are_distinguished(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "ACGT"})
    write_twobit(MemoryReference({"chrI": "ACGT"}), tmp_path / "genome.2bit")
    assert isinstance(open_reference(fasta, cache=tmp_path), FastaReference)
    assert isinstance(open_reference(tmp_path / "genome.2bit", cache=tmp_path), TwoBitReference)


@pytest.mark.parametrize("name", ["genome", "genome.2bit", "genome.txt"])
def test_the_content_determines_the_format(tmp_path, name):
    fasta = write_fasta(tmp_path / name, {"chrI": "ACGT"})
    assert open_reference(fasta, cache=tmp_path).lengths == {"chrI": 4}
    write_twobit(MemoryReference({"chrI": "ACGTA"}), tmp_path / name)
    assert open_reference(tmp_path / name, cache=tmp_path).lengths == {"chrI": 5}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"@r\nACGT\n+\nIIII\n", "is FASTQ; expected a genome: FASTA"),
        (gzip.compress(b"@r\nACGT\n+\nIIII\n", mtime=0), "is FASTQ; expected a genome"),
        (gzip.compress(b"BAM\1\0", mtime=0), "is BAM; expected a genome.*samtools"),
        (b"PK\3\4\0", "is a zip archive; expected a genome.*unpack it"),
        (b"LOCUS       U00096 10 bp", "is GenBank; expected a genome"),
        (">c\nACGT\n".encode("utf-16"), "is UTF-16 text; expected a genome"),
        (
            gzip.compress(b"\x43\x27\x41\x1a\0\0\0\0", mtime=0),
            "is a compressed 2bit file; unpack it",
        ),
        (b"", "is empty"),
        (b"\x43\x27\x41", "is not FASTA: expected"),
    ],
)
def test_another_format_is_refused_by_name(tmp_path, data, message):
    (tmp_path / "genome.fa").write_bytes(data)
    with pytest.raises(InputError, match=message):
        open_reference(tmp_path / "genome.fa", cache=tmp_path)


def test_a_2bit_file_shorter_than_its_signature_is_an_error(tmp_path):
    (tmp_path / "genome.2bit").write_bytes(b"\x43\x27\x41")
    with pytest.raises(InputError, match="is not a complete 2bit file"):
        open_reference(tmp_path / "genome.2bit", cache=tmp_path)
