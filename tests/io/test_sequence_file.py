"""FASTA and FASTQ are read in order, whatever their lines, and every other file is named."""

import gzip

import pysam
import pytest

from megabase.errors import InputError
from megabase.io.sequence_file import SequenceFile, holds_sequences, read_sequences


def read(tmp_path, data, **options):
    path = tmp_path / "in.seq"
    path.write_bytes(data)
    return [tuple(record) for record in read_sequences(path, **options)]


PAIRS = b"@r1/1 x\nACGT\n+\nIIII\n@r1/1 x\nGGA\n+r1/1\n@@+\n"


@pytest.mark.parametrize("how", ["plain", "gzip", "bgzip"])
def test_every_record_of_fastq_is_read_in_order_under_names_that_repeat(tmp_path, how, caplog):
    data = gzip.compress(PAIRS) if how == "gzip" else PAIRS
    if how == "bgzip":
        with pysam.BGZFile(str(tmp_path / "b"), "wb") as file:
            file.write(PAIRS)
        data = (tmp_path / "b").read_bytes()
    with caplog.at_level("INFO"):
        assert read(tmp_path, data) == [("r1/1 x", "ACGT"), ("r1/1 x", "GGA")]
    assert caplog.text.count("is FASTQ: its qualities are not used") == 1


def test_fastq_may_take_several_lines_and_hold_nothing(tmp_path):
    data = b"@r\nAC\nGT\n+\n@I\n+I\n\n@none\n\n+\n\n@last\nA\n+\n@"
    assert read(tmp_path, data) == [("r", "ACGT"), ("none", ""), ("last", "A")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"@r\nACGT\n+\nIII\n", "line 1: 3 qualities for the 4 letters of 'r'"),
        (b"@r\nACGT\n+\nIIIII\n", "line 4: 5 qualities for the 4 letters"),
        (b"@q\nA\n+\nI\n@r\nACGT\n", r"line 5: the record 'r' has no '\+' line; .* truncated"),
        (b"@q\nA\n+\nI\n@r\nACGT\n+\n", "line 5: 0 qualities for the 4 letters"),
        (b"@q\nA\n@r\nA\n+\nI\n", r"line 3: the record of line 1 has no '\+' line"),
        (b"@q\nA\n+r\nI\n", "line 3: '\\+r' is not the '\\+' line of 'q'"),
        (b"@q\nA\n+\nI\nA\n", "line 5: a FASTQ record must start with '@', got 'A'"),
        (b"@q\nAC\n+\nI\0\n", r"line 4: '\\x00' is not a quality"),
        (b"@q\nA\0\n+\nII\n", "line 2, column 2: a NUL byte among the letters of 'q'"),
    ],
)
def test_fastq_that_is_cut_or_damaged_is_an_error_with_its_line(tmp_path, data, message):
    with pytest.raises(InputError, match=f"in.seq, {message}"):
        read(tmp_path, data)


PLAIN = [("a one", "ACGTACGTAC"), ("b", ""), ("a two", "nnR")]


@pytest.mark.parametrize(
    "data",
    [
        b">a one\nACGTACGTAC\n>b\n>a two\nnnR\n",
        b"\xef\xbb\xbf\n>a one\nACG\n\nTACGTAC\n>b\n\n>a two\nnnR",
        b">a one\r\nACGTA\r\nCGTAC\r\n>b\r\n>a two\r\nnnR\r\n",
        b">a one\rACGTA\rCGTAC\r>b\r>a two\rnnR\r",
        b">a one\nACGTA CGTAC \n>b\n \t\n> a two\n\tnn\tR\n",
    ],
)
def test_fasta_is_read_whatever_its_lines(tmp_path, data):
    assert read(tmp_path, data) == PLAIN


def test_blanks_are_left_out_with_one_log_line(tmp_path, caplog):
    with caplog.at_level("INFO"):
        assert read(tmp_path, b">a\nACGT\nAC GT AC\nAC GT\n") == [("a", "ACGTACGTACACGT")]
    assert caplog.text.count("spaces among the letters are removed (line 3)") == 1
    caplog.clear()
    with caplog.at_level("INFO"):
        read(tmp_path, b">a\nAC GT\n", tell=False)
    assert not caplog.text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b">a\nACGT\nAC\0T\n", "line 3, column 3: a NUL byte among the letters of 'a'; .*copy"),
        (b">a\n   1 ACGT\n", "line 2, column 4: the digit 1 among the letters of 'a'"),
        (b">a\nAC\rGT\n", "line 2: a carriage return"),
        (b">a b\rACGT\n>c\nAC\n", "line 2: a carriage return|line 1: a carriage return"),
        (b">a\nAC\x7fT\n", "line 2, column 3"),
        (b">a\nAC\xc3\xa9T\n", "line 2, column 3: 'é'"),
        (b">a\nACGT\n>b\xe9\nAC\n", "line 3: byte 0xe9 is not UTF-8"),
        (b">a\0b\nAC\n", r"line 1: the control character '\\x00' in a name"),
    ],
)
def test_an_invalid_letter_is_an_error_with_its_position(tmp_path, data, message):
    with pytest.raises(InputError, match=f"in.seq, ({message})"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    "data", [gzip.compress(PAIRS * 9, mtime=0)[:-9], gzip.compress(PAIRS, mtime=0) + b"junk"]
)
def test_a_gzip_that_is_cut_or_goes_on_is_an_error(tmp_path, data):
    with pytest.raises(InputError, match="is truncated or damaged"):
        read(tmp_path, data)


def test_a_bgzip_cut_between_blocks_is_an_error(tmp_path):
    whole = b"".join(b">r%d\nACGTACGTGG\n" % number for number in range(20_000))
    with pysam.BGZFile(str(tmp_path / "b"), "wb") as file:
        file.write(whole)
    data = (tmp_path / "b").read_bytes()
    second = int.from_bytes(data[16:18], "little") + 1
    with pytest.raises(InputError, match="is truncated: its bgzip end marker is missing"):
        read(tmp_path, data[:second])


def test_members_of_gzip_are_read_one_after_another(tmp_path):
    data = gzip.compress(b">a\nAC\n") + gzip.compress(b"GT\n>b\nC\n")
    assert read(tmp_path, data) == [("a", "ACGT"), ("b", "C")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ACGT\n", "is neither FASTA nor FASTQ: .* got 'ACGT'"),
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"@HD\tVN:1.6\n@SQ\tSN:c\tLN:9\n", "is SAM; expected FASTA or FASTQ.*samtools fastq"),
        (gzip.compress(b"BAM\1\0\0", mtime=0), "is BAM; expected"),
    ],
)
def test_another_file_is_named(tmp_path, data, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, data)


def test_a_file_holds_sequences_by_its_name_or_its_content(tmp_path):
    for name in ("a.FA.bgz", "a.fastq.gz", "a.fq", "a.fna"):
        assert holds_sequences(tmp_path / name)
    for name, data in {"a.txt": b">a\nAC\n", "stdin": PAIRS, "a.tsv": b">a\tb\n"}.items():
        (tmp_path / name).write_bytes(data)
    assert holds_sequences(tmp_path / "a.txt")
    assert holds_sequences(tmp_path / "stdin")
    assert not holds_sequences(tmp_path / "a.tsv")
    assert not holds_sequences(tmp_path / "missing")


def test_sequences_come_by_number_in_any_order(tmp_path):
    path = tmp_path / "a.fa"
    path.write_text(">a\nAC\n>a\nGGT\n>\n\n>b/1\tx\nT\n")
    file = SequenceFile(path)
    assert file.names == ["a", "a", "", "b/1"]
    assert file.lengths == [2, 3, 0, 1]
    assert [file.letters(number) for number in (1, 3, 0, 0, 2)] == ["GGT", "T", "AC", "AC", ""]
    path.write_text(">a\nAC\n>a\nGGTT\n")
    with pytest.raises(InputError, match="was changed while it was read"):
        file.letters(1)
