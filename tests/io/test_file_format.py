"""The first bytes name a format, whatever the name of the file says."""

import pytest

from megabase.io.compression import format_of, is_text


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"", "empty"), (b" \r\n", "empty"), (b"ACGT\n", "text of no known format"),
        (b"\n>c\n", "FASTA"), (b"\xef\xbb\xbf>c\nA\0C", "FASTA"), (b"@r\nA\n+\nI\n", "FASTQ"),
        (b"@r", "FASTQ"), (b"@SQ\tSN:c\tLN:9\n", "SAM"), (b"BAM\1\0", "BAM"),
        (b"CRAM\3\0", "CRAM"), (b"BCF\2\2\0", "BCF"), (b"##fileformat=VCFv4.2\n", "VCF"),
        (b"\x43\x27\x41\x1a\0\0\0\0", "2bit"), (b"\x1a\x41\x27\x43\0\0\0\0", "2bit"),
        (b"\x26\xfc\x8f\x88\4\0", "bigWig"), (b"\xeb\xf2\x89\x87\4\0", "bigBed"),
        (b"PK\3\4\0", "a zip archive"), (b"\xfd7zXZ\0\0", "compressed by xz"),
        (b"BZh91AY&SY\x12", "compressed by bzip2"), (b"\x28\xb5\x2f\xfd\0", "compressed by zstd"),
        (b"\x89HDF\r\n\x1a\n\0", "HDF5"), (b"%PDF-1.7", "PDF"), (b"PAR1\x15\4", "Parquet"),
        (b"<!DOCTYPE html>", "an HTML page"), (b"\n<HTML>", "an HTML page"), (b"<?xml ?>", "XML"),
        (b"LOCUS       NC_1 12 bp", "GenBank"), (b"ID   X1; SV 1;", "EMBL"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\xff\xfe>\0a\0", "UTF-16 text"), (b"\xfe\xff\0>", "UTF-16 text"),
        (b"\xff\xfe\0\0>\0\0\0", "UTF-32 text"), (b"\x1f\x8b\x08\0", "compressed by gzip twice"),
        (b"x" * 257 + b"ustar\0", "a tar archive"), (b"\1\2\3", "binary data of no known format"),
    ],
)  # fmt: skip
def test_each_format_is_known_by_its_first_bytes(head, name):
    assert format_of(head) == name


@pytest.mark.parametrize(
    "head", [b"PAR1\t10\t90\n", b"CRAM\t1\t2\n", b"BZh1\t1\t2\n", b"BAM\t1\t2\n"]
)
def test_a_text_that_begins_like_a_binary_file_is_text(head):
    assert is_text(format_of(head))
