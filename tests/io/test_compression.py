"""The first block tells how a file is compressed, and the last whether it is whole."""

import gzip
from pathlib import Path

import pysam
import pytest

from megabase.errors import InputError
from megabase.io.compression import (
    check_bgzip_is_whole,
    compression,
    open_text,
    uncompressed_name,
    write_gzi,
)


def test_each_kind_is_known_by_its_first_block(tmp_path):
    with pysam.BGZFile(str(tmp_path / "bgzip"), "wb") as file:
        file.write(b"ACGT")
    (tmp_path / "gzip").write_bytes(gzip.compress(b"ACGT"))
    (tmp_path / "none").write_bytes(b"ACGT")
    for kind in ("bgzip", "gzip", "none"):
        assert compression(tmp_path / kind) == kind


def test_a_bgzip_file_without_its_end_is_an_error(tmp_path):
    path = tmp_path / "bgzip"
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(b"ACGT")
    check_bgzip_is_whole(path, name="it")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"^it is truncated: .* end marker is missing"):
        check_bgzip_is_whole(path, name="it")


def bgzip(path, text):
    """Write a bgzip file."""
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(text)
    return path.read_bytes()


def text_of(path):
    with open_text(path) as file:
        return file.read()


@pytest.mark.parametrize("name", ["a.bed", "a.BED.gz", "a.bed.bgz", "a.bed.BGZ"])
def test_a_name_has_no_suffix_of_compression(name):
    assert uncompressed_name(Path("folder.gz") / name).lower() == "a.bed"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, "bgzip"])
def test_text_is_read_however_it_is_packed_and_without_its_byte_order_mark(tmp_path, pack):
    path = tmp_path / "a"
    text = "\ufeffchr1\té\r\n".encode()
    path.write_bytes(bgzip(path, text) if pack == "bgzip" else pack(text))
    assert text_of(path) == "chr1\té\n"


def test_a_bgzip_text_cut_between_blocks_is_an_error(tmp_path):
    whole = bgzip(tmp_path / "a", b"chr1\t1\t2\n" * 20_000)
    (tmp_path / "a").write_bytes(whole[: int.from_bytes(whole[16:18], "little") + 1])
    with pytest.raises(InputError, match="is truncated: its bgzip end marker is missing"):
        text_of(tmp_path / "a")
    (tmp_path / "a").write_bytes(whole + b"more")
    with pytest.raises(InputError, match="or other bytes follow it"):
        text_of(tmp_path / "a")


@pytest.mark.parametrize("damage", [lambda data: data[:-4], lambda data: data + b"more"])
def test_the_end_of_a_gzip_text_is_checked_for_a_reader_that_stops_early(tmp_path, damage):
    text = b"".join(b"%d\n" % number for number in range(100_000))
    (tmp_path / "a").write_bytes(damage(gzip.compress(text)))
    with pytest.raises(InputError, match="is truncated or damaged"), open_text(tmp_path / "a") as f:
        assert f.readline() == "0\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"chr1\t1\t2\nchr1\t\0\t2\n", "a, line 2: a NUL byte"),
        ("chr1\n".encode("utf-16"), "is UTF-16 text; expected text.*save it as UTF-8"),
        ("chr1\n".encode("utf-16-le"), "a, line 1: a NUL byte.*UTF-8"),
        (b"ok\nr\xe9gion\n", "a, line 2: byte 0xe9 is not UTF-8"),
        (b"PK\3\4\0\0", "is a zip archive; expected text.*unpack it"),
        (b"<html><body>404", "is an HTML page"),
    ],
)
def test_input_other_than_text_is_an_error_with_its_line_or_its_format(tmp_path, data, message):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(InputError, match=message):
        text_of(tmp_path / "a")


def test_the_index_of_blocks_is_that_of_htslib(tmp_path):
    bgzip(tmp_path / "a.fa.gz", b">c\n" + b"ACGTACGT\n" * 40_000)
    pysam.faidx(str(tmp_path / "a.fa.gz"))
    write_gzi(tmp_path / "a.fa.gz", tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "a.fa.gz.gzi").read_bytes()
    assert len((tmp_path / "ours").read_bytes()) > 8
