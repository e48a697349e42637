"""2bit gives back the letters that were put in, and the shipped genome is the one it says."""

import hashlib
import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference
from megabase.io.twobit import TwoBitReference, write_twobit
from megabase.run.location import genome_path
from megabase.run.provenance import file_sha256


@given(
    sequence=st.text("ACGTNacgtn", min_size=1, max_size=40),
    start=st.integers(0, 39),
    length=st.integers(1, 40),
)
def test_every_interval_is_given_back(tmp_path_factory, sequence, start, length):
    start = min(start, len(sequence) - 1)
    end = min(start + length, len(sequence))
    path = tmp_path_factory.mktemp("twobit") / "genome.2bit"
    write_twobit(MemoryReference({"chrI": "ACG", "chrII": sequence}), path)
    genome = TwoBitReference(path)
    assert genome.lengths == {"chrI": 3, "chrII": len(sequence)}
    assert genome.fetch(Interval("chrII", start, end)) == sequence[start:end]


def test_a_letter_that_it_cannot_hold_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="knows only A C G T N; 'chrI'"):
        write_twobit(MemoryReference({"chrI": "ACGR"}), tmp_path / "genome.2bit")


@pytest.mark.parametrize("keep", [0, 3, 30, 60])
def test_a_file_cut_short_is_an_error(tmp_path, keep):
    path = tmp_path / "genome.2bit"
    write_twobit(MemoryReference({"chrI": "ACGTACGTAC" * 40}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="no whole 2bit file"):
        TwoBitReference(path)


def test_another_file_is_an_error(tmp_path):
    path = tmp_path / "genome.2bit"
    path.write_text(">chrI\nACGTACGTACGTACGTACGT\n")
    with pytest.raises(ValueError, match="signature"):
        TwoBitReference(path)


def test_the_shipped_genome_is_the_one_it_says():
    about = json.loads((files("megabase") / "assets" / "ecoli.json").read_text())
    path = genome_path("asset:ecoli")
    genome = TwoBitReference(path)
    whole = genome.fetch(Interval(about["contig"], 0, about["length_bp"]))
    assert file_sha256(path) == about["sha256_of_file"]
    assert hashlib.sha256(whole.encode()).hexdigest() == about["sha256_of_letters"]
    # lacZ of U00096.2, complement(362455..365529), by the start of its published sequence
    assert genome.fetch(Interval(about["contig"], 365499, 365529, "-")) == (
        "ATGACCATGATTACGGATTCACTGGCCGTC"
    )


def test_many_runs_are_found_by_place(tmp_path):
    letters = "".join("acgtNNNACGT"[i % 11] for i in range(3000))
    write_twobit(MemoryReference({"chrI": letters}), tmp_path / "g.2bit")
    reference = TwoBitReference(tmp_path / "g.2bit")
    for start in range(0, 2900, 37):
        found = reference.fetch(Interval("chrI", start, start + 23))
        assert found == letters[start : start + 23]


@pytest.mark.parametrize("contigs", [{}, {"chrI": ""}])
def test_a_file_without_a_base_is_an_error(tmp_path, contigs):
    write_twobit(MemoryReference(contigs), tmp_path / "g.2bit")
    with pytest.raises(ValueError, match="holds no base"):
        TwoBitReference(tmp_path / "g.2bit")
