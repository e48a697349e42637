"""FASTA is read by interval however it is packed, and a bad file says what is bad."""

import gzip
import os

import pysam
import pytest

from megabase.genome.interval import Interval
from megabase.io.fasta import FastaReference
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


def test_a_changed_file_is_read_again(fasta, tmp_path):
    FastaReference(fasta, cache=tmp_path / "cache")
    write_fasta(tmp_path / "genome.fa", {"other": "ACGT"})
    later = fasta.stat().st_mtime + 10
    os.utime(tmp_path / "genome.fa", (later, later))
    changed = FastaReference(tmp_path / "genome.fa", cache=tmp_path / "cache")
    assert dict(changed.lengths) == {"other": 4}


def test_an_older_file_under_a_newer_index_is_read_again(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", CONTIGS)
    FastaReference(fasta, cache=tmp_path / "cache")
    write_fasta(fasta, {"other": "ACGT" * 30})
    os.utime(fasta, (1e9, 1e9))  # as `mv` and `cp -p` leave it
    assert dict(FastaReference(fasta, cache=tmp_path / "cache").lengths) == {"other": 120}


def test_a_file_replaced_with_the_same_size_and_times_is_read_again(fasta, tmp_path):
    cache = tmp_path / "cache"
    stat = fasta.stat()
    before = FastaReference(fasta, cache=cache).fetch(Interval("chrI", 0, 500))
    plain = write_fasta(tmp_path / "other.fa", {"chrI": CONTIGS["chrI"][::-1], "chrII": "A" * 130})
    if fasta.suffix == ".gz":
        packed = gzip.compress(plain.read_bytes())
        fasta.write_bytes(packed)
    else:
        fasta.write_bytes(plain.read_bytes())
        assert fasta.stat().st_size == stat.st_size
    os.utime(fasta, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = FastaReference(fasta, cache=cache).fetch(Interval("chrI", 0, 500))
    assert before == CONTIGS["chrI"][:500]
    assert after == CONTIGS["chrI"][::-1][:500]


def test_indexes_next_to_the_file_are_neither_read_nor_written(fasta, tmp_path):
    foreign = {".fai": "chrI\t9\t0\t9\t10\n", ".gzi": "no index"}
    for suffix, text in foreign.items():
        fasta.with_name(fasta.name + suffix).write_text(text)
    before = sorted(fasta.parent.iterdir())
    reference = FastaReference(fasta, cache=tmp_path / "cache")
    assert reference.fetch(Interval("chrII", 7, 130)) == CONTIGS["chrII"][7:]
    assert [path for path in sorted(fasta.parent.iterdir()) if path.name != "cache"] == before
    for suffix, text in foreign.items():
        assert fasta.with_name(fasta.name + suffix).read_text() == text


def test_a_copy_has_the_index_of_its_original(tmp_path, monkeypatch):
    fasta = write_fasta(tmp_path / "genome.fa", CONTIGS)
    FastaReference(fasta, cache=tmp_path / "cache")
    (tmp_path / "copy.fa").write_bytes(fasta.read_bytes())
    monkeypatch.setattr("megabase.io.fasta.scan_contigs", None)
    copy = FastaReference(tmp_path / "copy.fa", cache=tmp_path / "cache")
    assert copy.fetch(Interval("chrII", 3, 9)) == CONTIGS["chrII"][3:9]


def test_a_name_ends_at_the_first_blank(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"MAL1 ": "ACGT", "MAL2\tchromosome 2": "GG"})
    assert list(FastaReference(fasta, cache=tmp_path).lengths) == ["MAL1", "MAL2"]


def test_case_is_kept_and_the_minus_strand_is_turned(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "AACCggnn"})
    reference = FastaReference(fasta, cache=tmp_path)
    assert reference.fetch(Interval("chrI", 2, 8, "-")) == "nnccGG"


def test_a_duplicate_name_is_an_error(tmp_path):
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">chrI one\nACGT\n>chrII\nAC\n>chrI two\nGGGG\n")
    with pytest.raises(ValueError, match="line 5: contig 'chrI' is in the file twice"):
        FastaReference(fasta, cache=tmp_path)


def test_contigs_without_letters_are_logged(tmp_path, caplog):
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">none\n>chrI\nACGT\n")
    for _ in range(2):  # built, then found
        caplog.clear()
        assert dict(FastaReference(fasta, cache=tmp_path).lengths) == {"chrI": 4}
        assert "1 of 2 contigs of" in caplog.text
        assert "have no letters" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("ACGT\n", "is not FASTA: .* got 'ACGT' in line 1"),
        (">a\n", "no sequence with letters"),
    ],
)
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
    with pytest.raises(ValueError, match="is truncated"):
        FastaReference(fasta, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_many_contigs_are_found(tmp_path):
    many = {f"contig{i}": "ACGT" * (i % 5 + 1) for i in range(300)}
    fasta = write_fasta(tmp_path / "genome.fa", many)
    assert list(FastaReference(fasta, cache=tmp_path).lengths) == list(many)


def test_a_real_genome_with_blanks_after_its_names(shared, tmp_path):
    path = shared / "data/genomes/plasmodium/pfalciparum_MAL1-14.fa.gz"
    reference = FastaReference(path, cache=tmp_path)
    assert [*reference.lengths][:2] == ["MAL1", "MAL2"]
    assert len(reference.lengths) == 14


def test_letters_that_are_not_those_requested_are_an_error(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "ACGT" * 50_000})
    reference = FastaReference(fasta, cache=tmp_path / "cache")
    with fasta.open("r+b") as file:  # in place, while it is open
        file.seek(-100, os.SEEK_END)
        file.write(b"\0" * 50)
    with pytest.raises(
        ValueError, match=r"chrI.* has 200,000 bp, but 199,[0-9]{3} letters were read"
    ):
        reference.fetch(Interval("chrI", 0, 200_000))


def test_an_invalid_letter_is_an_error_with_its_position(tmp_path):
    fasta = write_fasta(tmp_path / "genome.fa", {"chrI": "ACGT*ACGT"})
    reference = FastaReference(fasta, cache=tmp_path / "cache")
    assert reference.fetch(Interval("chrI", 5, 9, "-")) == "ACGT"
    with pytest.raises(ValueError, match=r"'\*' at position 4 \(counted from 0\) of chrI"):
        reference.fetch(Interval("chrI", 2, 6, "-"))
