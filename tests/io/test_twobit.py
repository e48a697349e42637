"""2bit gives back the letters that were put in, and the shipped genome is the one it says."""

import hashlib
import json
import struct
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import MemoryReference
from megabase.io.derived_files import file_sha256
from megabase.io.twobit import TwoBitReference, write_twobit
from megabase.runtime.location import genome_path


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


def test_a_letter_that_the_format_cannot_hold_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="can store only A C G T N; 'chrI'"):
        write_twobit(MemoryReference({"chrI": "ACGR"}), tmp_path / "genome.2bit")


@pytest.mark.parametrize("keep", [0, 3, 30, 60])
def test_a_file_cut_short_is_an_error(tmp_path, keep):
    path = tmp_path / "genome.2bit"
    write_twobit(MemoryReference({"chrI": "ACGTACGTAC" * 40}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="is not a complete 2bit file"):
        TwoBitReference(path)


def packed(order="<", version=0, **changes):
    """Write the contigs a, of ACGTNNac, and b, of TTTTT, as 2bit; some words may be others."""
    words = {
        "signature": 0x1A412743, "n_contigs": 2, "length": 8, "n_unknown": 1, "start": 4, "run": 2,
        "n_lower": 1, "start_of_lower": 6, "reserved": 0, "offset_of_b": None, "name": b"b",
    } | changes  # fmt: skip
    offset = "Q" if version else "I"
    n_index = 16 + sum(1 + len(name) + struct.calcsize(offset) for name in (b"a", words["name"]))
    a = struct.pack(
        f"{order}9I", words["length"], words["n_unknown"], words["start"], words["run"],
        words["n_lower"], words["start_of_lower"], 2, words["reserved"], 0,
    )[:-4] + bytes([0b10011100, 0b00001001])  # fmt: skip
    b = struct.pack(f"{order}4I", 5, 0, 0, 0) + bytes(2)
    at_b = n_index + len(a) if words["offset_of_b"] is None else words["offset_of_b"]
    head = struct.pack(f"{order}4I", words["signature"], version, words["n_contigs"], 0)
    index = b"\1a" + struct.pack(order + offset, n_index)
    index += bytes([len(words["name"])]) + words["name"] + struct.pack(order + offset, at_b)
    return head + index + a + b


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [0, 1])
def test_both_byte_orders_and_versions_are_read(tmp_path, order, version):
    path = tmp_path / "g.2bit"
    path.write_bytes(packed(order, version))
    genome = TwoBitReference(path)
    assert genome.lengths == {"a": 8, "b": 5}
    assert genome.fetch(Interval("a", 0, 8)) == "ACGTNNac"
    assert genome.fetch(Interval("b", 1, 4, "-")) == "AAA"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_contigs": 2**32 - 1}, "has a contig|is truncated"),
        ({"length": 2**32 - 1}, "ends at byte 1,073,741,"),
        ({"length": 20}, "contig 'b' overlaps contig 'a'"),
        ({"n_unknown": 2**32 - 1}, "is truncated"),
        ({"start": 7}, "the N of contig 'a' are not in order, or exceed its 8 bp"),
        ({"start": 2**32 - 1}, "exceed its 8 bp"),
        ({"start_of_lower": 7}, "the lower case of contig 'a' are not in order, or exceed"),
        ({"reserved": 1}, "the reserved word of contig 'a' is 1"),
        ({"offset_of_b": 2**32 - 1}, "is truncated"),
        ({"offset_of_b": 0}, "contig 'b'|is truncated|runs of"),
        ({"offset_of_b": 28}, "overlaps"),
        ({"name": b"a"}, "has a contig 'a' twice"),
        ({"name": b""}, "has a contig ''"),
        ({"name": b"\xff"}, "can't decode"),
        ({"version": 2}, "or version 2"),
        ({"signature": 1}, "signature"),
    ],
)
def test_a_damaged_file_is_one_error(tmp_path, changes, message):
    path = tmp_path / "g.2bit"
    path.write_bytes(packed(**changes))
    with pytest.raises(InputError, match=f"g.2bit is not a complete 2bit file: .*({message})"):
        TwoBitReference(path)


def test_every_cut_is_an_error(tmp_path):
    path, whole = tmp_path / "g.2bit", packed()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="is not a complete 2bit file"):
            TwoBitReference(path)


def test_bytes_that_belong_to_no_contig_are_logged(tmp_path, caplog):
    path = tmp_path / "g.2bit"
    path.write_bytes(packed() + b"more")
    assert TwoBitReference(path).lengths == {"a": 8, "b": 5}
    assert "4 bytes belong to no contig" in caplog.text


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
