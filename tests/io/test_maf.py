"""Blocks of an alignment are read unchanged, and an invalid one is an error with its line."""

import gzip

import pytest

from megabase.errors import InputError
from megabase.io.maf import AlignedRow, read_maf

TEXT = """##maf version=1
#
a score=1
s Hsap.22 10 5 + 100 ACG-TA
s Ptro.22_random 0 4 - 90 AC--TA

a
s Hsap.22 20 2 + 100 GG
i Hsap.22 N 0 C 0
"""


@pytest.mark.parametrize("is_packed", [False, True])
def test_rows_by_block(tmp_path, is_packed):
    path = tmp_path / "a.maf"
    path.write_bytes(gzip.compress(TEXT.encode()) if is_packed else TEXT.encode())
    first, second = read_maf(path)
    assert first[0] == AlignedRow("Hsap.22", 10, 5, "+", 100, "ACG-TA")
    assert [row.species for row in first] == ["Hsap", "Ptro"]
    assert [row.letters for row in second] == ["GG"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("s Hsap.22 10 5 + 100", "line 3: expected s, source"),
        ("s Hsap.22 10 4 + 100 ACG-TA", "line 3: expected 4 letters without gaps, got 5"),
        ("s Hsap.22 10 5 minus 100 ACG-TA", "line 3: a strand is .* got 'minus'"),
        ("S Hsap.22 10 5 + 100 ACG-TA", "line 3: a line of MAF begins with .* got 'S Hsap"),
    ],
)
def test_an_invalid_row_is_an_error_with_its_line(tmp_path, line, problem):
    (tmp_path / "a.maf").write_text(f"##maf\na\n{line}\n")
    with pytest.raises(InputError, match=problem):
        list(read_maf(tmp_path / "a.maf"))


def test_rows_of_a_block_are_of_one_length(tmp_path):
    (tmp_path / "a.maf").write_text("a\ns A.1 0 3 + 9 ACG\ns B.1 0 2 + 9 AC\n")
    with pytest.raises(InputError, match="the row has 2 letters, but its block has 3"):
        list(read_maf(tmp_path / "a.maf"))


def test_a_file_without_blocks_is_an_error(tmp_path):
    (tmp_path / "a.maf").write_text("##maf version=1\n")
    with pytest.raises(InputError, match="no alignment block"):
        list(read_maf(tmp_path / "a.maf"))


def test_the_apes_have_four_rows_a_block(shared):
    path = shared / "data/genomes/human/apes_chr22.maf.gz"
    if not path.is_file():
        pytest.skip("needs the alignment of chromosome 22")
    blocks = read_maf(path)
    for rows in (next(blocks) for _ in range(50)):
        assert [row.species for row in rows] == ["Hsap", "Ptro", "Ggor", "Ppyg"]
