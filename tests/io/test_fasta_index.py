"""Every line of a FASTA file is checked before arithmetic finds letters in it."""

import gzip

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megabase.io.fasta import Contig, scan_contigs
from tests.toys import letters


def scan(tmp_path, data):
    path = tmp_path / "g.fa"
    path.write_bytes(data)
    return scan_contigs(path, "g.fa")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("width", [1, 7, 60, 3_000_000])
def test_it_is_the_index_of_the_sam_tools(tmp_path, end, width):
    contigs = {"a first": letters(1_500_000), "b\t2": letters(59), "c": letters(180), "d": "N"}
    path = tmp_path / "g.fa"
    with path.open("w", newline="") as file:
        for header, text in contigs.items():
            lines = [text[start : start + width] for start in range(0, len(text), width)]
            file.write(end.join([f">{header}", *lines]) + end)
    pysam.faidx(str(path))
    expected = (tmp_path / "g.fa.fai").read_text().splitlines()
    assert [contig.fai_line for contig in scan_contigs(path, "g.fa")] == expected


def test_letters_may_end_with_the_file_and_blank_lines_stand_between_contigs(tmp_path):
    found = scan(tmp_path, b"\n>a\n\nACG\nAC\n \n\n>none\n>b\nAC")
    assert found == [Contig("a", 5, 5, 3, 4), Contig("none", 0, 21, 0, 0), Contig("b", 2, 24, 2, 2)]


def test_a_byte_order_mark_is_ignored(tmp_path):
    assert scan(tmp_path, b"\xef\xbb\xbf>a\nACG\n") == [Contig("a", 3, 6, 3, 4)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b">c\nACGT\nAC\0T\n", "line 3, column 3: a NUL byte among the letters of 'c'.*copy it"),
        (b">c\nACGT\n\0\0\0\0\n", "line 3, column 1: a NUL byte"),
        (b">c\nAC GT\nAC GT\n", r"line 2, column 3: white space among .*'c'.*sed '/\^>/!s"),
        (b">c\nACGT\nAC\tT\n", "line 3, column 3: white space"),
        (b">c\nACGT \nACGT \n", "line 2, column 5: white space"),
        (b">c\n1 ACGT\n5 ACGT\n", "line 2, column 1: the digit 1"),
        (b">c\nAC\xe9T\n", "line 2, column 3: '\xe9'"),
        (b">c\nAC\x1bT\n", r"line 2, column 3: '\\x1b'"),
        (
            b">c\nACGT\nACG\nACGT\n",
            "line 3: 3 letters, but earlier lines of 'c' have 4.*line 4; .*seqtk",
        ),
        (b">c\nACGT\nACGTA\n", "line 3: 5 letters, but earlier lines of 'c' have 4"),
        (b">c\nACGT\n\nACGT\n", "line 3: a blank line; more letters of 'c' follow in line 4"),
        (
            b">c\nACGT\r\nACGT\nACGT\r\n",
            r"line 3: the line end is b'\\n', but earlier lines end in b'\\r\\n'",
        ),
        (b">c\rACGT\rACGT\r", "line 1, column 3: a carriage return .*tr"),
        (b">c\nACGT\rACGT\n", "line 2, column 5: a carriage return"),
        (b">c\nAC\n>c 2\nAC\n", "line 3: contig 'c' is in the file twice"),
        (b">\nAC\n", "line 1: a contig has no name"),
        (b"> \nAC\n", "line 1: a contig has no name"),
        (b">\xc3\xa9\nAC\n", "line 1: the contig name .* is not printable ASCII"),
        (b">c\0d\nAC\n", "line 1, column 3: a NUL byte"),
        (b">c\n>d\n", "has no sequence with letters"),
    ],
)  # fmt: skip
def test_a_line_that_no_index_can_hold_is_an_error_with_its_place(tmp_path, data, message):
    with pytest.raises(ValueError, match=rf"^g\.fa[,]? ?{message}"):
        scan(tmp_path, data)


def test_a_bad_line_is_named_far_behind_many_good_ones(tmp_path):
    lines = [b"ACGT" * 15] * 40_000
    lines[35_000] = b"ACG\0" * 15
    with pytest.raises(ValueError, match="line 35,002, column 4: a NUL byte"):
        scan(tmp_path, b">c\n" + b"\n".join(lines))
    lines[35_000] = b"ACG"
    with pytest.raises(ValueError, match="line 35,002: 3 letters"):
        scan(tmp_path, b">c\n" + b"\n".join(lines))


def test_a_name_may_hold_slashes_bars_and_colons(tmp_path):
    (contig,) = scan(tmp_path, b">gi|1/2:3..\\ x\nAC\n")
    assert contig.name == "gi|1/2:3..\\"


@given(st.lists(st.sampled_from([b"ACGT\n", b"AC\n", b"\n", b"A C\n", b">x\n", b"NN\r\n"])))
def test_the_index_has_the_sequences_of_the_lines(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("scan") / "g.fa"
    data = b">c\nAC\n" + b"".join(lines)
    path.write_bytes(data)
    try:
        found = scan_contigs(path, "g.fa")
    except ValueError:
        return
    for contig, record in zip(found, data[1:].split(b"\n>"), strict=True):
        expected = b"".join(record.split(b"\n")[1:]).replace(b"\r", b"")
        n, width = contig.line_letters, contig.line_bytes
        places = [contig.offset + i // n * width + i % n for i in range(contig.length)]
        assert bytes(data[place] for place in places) == expected


def test_a_damaged_gzip_is_an_error(tmp_path):
    packed = gzip.compress(b">c\n" + letters(5000).encode())
    with pytest.raises(ValueError, match="truncated or damaged"):
        scan(tmp_path, packed[:-30])
