"""FASTA is read by interval however it is packed, and a bad file says what is bad."""

import gzip
import os

import pysam
import pytest

from megabase.genome.interval import Interval
from megabase.io.fasta import FastaEntry, FastaReference, read_fasta
from tests.toys import letters, write_fasta

CONTIGS = {"chrI": letters(1000), "chrII": letters(130, seed=1)}


@pytest.fixture(params=["plain", "gzip", "bgzip"])
def fasta(request, tmp_path):
    """One genome, packed in each way."""
    plain = write_fasta(tmp_path / "genome.fa", CONTIGS)
    if request.param == "plain":
        return plain
    packed = tmp_path / "genome.fa.gz"
    if request.param == "gzip":
        packed.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        pysam.tabix_compress(str(plain), str(packed))
    return packed


def test_letters_come_by_interval(fasta, tmp_path):
    reference = FastaReference(fasta, cache=tmp_path / "cache")
    assert dict(reference.lengths) == {"chrI": 1000, "chrII": 130}
    assert reference.fetch(Interval("chrI", 55, 700)) == CONTIGS["chrI"][55:700]
    assert reference.fetch(Interval("chrII", 0, 130)) == CONTIGS["chrII"]


def test_a_second_opening_reads_the_same(fasta, tmp_path):
    for _ in range(2):
        reference = FastaReference(fasta, cache=tmp_path / "cache")
        assert reference.fetch(Interval("chrII", 100, 130)) == CONTIGS["chrII"][100:]


def test_a_changed_file_is_read_anew(fasta, tmp_path):
    FastaReference(fasta, cache=tmp_path / "cache")
    write_fasta(tmp_path / "genome.fa", {"other": "ACGT"})
    later = fasta.stat().st_mtime + 10
    os.utime(tmp_path / "genome.fa", (later, later))
    changed = FastaReference(tmp_path / "genome.fa", cache=tmp_path / "cache")
    assert dict(changed.lengths) == {"other": 4}


def test_an_older_file_under_a_newer_index_is_read_anew(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", CONTIGS)
    FastaReference(fasta, cache=tmp_path / "cache")
    write_fasta(fasta, {"other": "ACGT" * 30})
    os.utime(fasta, (1e9, 1e9))  # as `mv` and `cp -p` leave it
    assert dict(FastaReference(fasta, cache=tmp_path / "cache").lengths) == {"other": 120}


def test_the_index_stands_beside_the_file(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", CONTIGS)
    FastaReference(fasta, cache=tmp_path / "cache")
    assert (tmp_path / "genome.fa.fai").exists()
    assert not list((tmp_path / "cache" / "fai").glob("*.fai"))


def test_the_index_of_a_file_in_a_read_only_folder_goes_to_the_cache(tmp_path):
    folder = tmp_path / "genomes"
    folder.mkdir()
    fasta = write_fasta(folder / "genome.fa", CONTIGS)
    folder.chmod(0o555)  # which would not keep root from writing there
    reference = FastaReference(fasta, cache=tmp_path / "cache")
    assert reference.fetch(Interval("chrI", 0, 9)) == CONTIGS["chrI"][:9]
    assert list(folder.iterdir()) == [fasta]
    assert list((tmp_path / "cache" / "fai").glob("*-genome.fa.fai"))


def test_a_name_ends_at_the_first_blank(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"MAL1 ": "ACGT", "MAL2\tchromosome 2": "GG"})
    assert list(FastaReference(fasta, cache=tmp_path).lengths) == ["MAL1", "MAL2"]


def test_case_is_kept_and_the_minus_strand_is_turned(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "AACCggnn"})
    reference = FastaReference(fasta, cache=tmp_path)
    assert reference.fetch(Interval("chrI", 2, 8, "-")) == "nnccGG"


def test_a_name_that_stands_twice_is_an_error(tmp_path):
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">chrI one\nACGT\n>chrII\nAC\n>chrI two\nGGGG\n")
    for _ in range(2):  # the second time there is an index, which passes over the second chrI
        with pytest.raises(ValueError, match="'chrI' stands twice"):
            FastaReference(fasta, cache=tmp_path)


def test_a_contig_without_letters_is_said(tmp_path, caplog):
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">none\n>chrI\nACGT\n")
    for _ in range(2):  # made anew, then found
        caplog.clear()
        assert dict(FastaReference(fasta, cache=tmp_path).lengths) == {"chrI": 4}
        assert "1 contigs of" in caplog.text
        assert "have no letters" in caplog.text


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("ACGT\n", "holds no sequence")])
def test_a_file_without_sequences_is_an_error(tmp_path, text, message):
    fasta = tmp_path / "genome.fa"
    fasta.write_text(text)
    with pytest.raises(ValueError, match=message):
        FastaReference(fasta, cache=tmp_path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="there is no genome file"):
        FastaReference(tmp_path / "none.fa", cache=tmp_path)


@pytest.mark.parametrize("fasta", ["gzip", "bgzip"], indirect=True)
def test_a_truncated_file_is_an_error_and_leaves_nothing(fasta, tmp_path):
    fasta.write_bytes(fasta.read_bytes()[:-40])
    with pytest.raises(ValueError, match="is cut short"):
        FastaReference(fasta, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_ragged_lines_are_an_error(tmp_path):
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">chrI\nACGT\nACG\nACGT\n")
    with pytest.raises(ValueError, match="all lines of a sequence but its last have one length"):
        FastaReference(fasta, cache=tmp_path)


def test_headers_are_found_across_pieces(tmp_path, monkeypatch):
    many = {f"contig{i}": "ACGT" * (i % 5 + 1) for i in range(300)}
    fasta = write_fasta(tmp_path / "genome.fa", many)
    assert list(FastaReference(fasta, cache=tmp_path).lengths) == list(many)


def test_a_real_genome_with_blanks_after_its_names(shared, tmp_path):
    path = shared / "data/genomes/plasmodium/pfalciparum_MAL1-14.fa.gz"
    reference = FastaReference(path, cache=tmp_path)
    assert [*reference.lengths][:2] == ["MAL1", "MAL2"]
    assert len(reference.lengths) == 14


@pytest.mark.parametrize("is_packed", [False, True])
def test_entries_come_one_after_another_with_their_whole_headers(tmp_path, is_packed):
    text = b">one |1\nACGT\nAC\n\n>two|0\n>three\nn\n"
    (tmp_path / "a.fna").write_bytes(gzip.compress(text) if is_packed else text)
    assert list(read_fasta(tmp_path / "a.fna")) == [
        FastaEntry("one |1", "ACGTAC"),
        FastaEntry("two|0", ""),
        FastaEntry("three", "n"),
    ]


def test_entries_begin_with_a_header(tmp_path):
    (tmp_path / "a.fna").write_text("ACGT\n")
    with pytest.raises(ValueError, match="no FASTA file: it begins with 'ACGT'"):
        list(read_fasta(tmp_path / "a.fna"))
