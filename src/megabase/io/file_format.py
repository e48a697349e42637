"""Recognise the format of a file by its first bytes, independently of its name."""

import re
from pathlib import Path

from megabase.errors import InputError

FASTA, FASTQ, TWOBIT = "FASTA", "FASTQ", "2bit"
VCF, BCF, PARQUET = "VCF", "BCF", "Parquet"
EMPTY, TEXT, BINARY = "empty", "text of no known format", "binary data of no known format"

_UNPACK = "unpack it"
_TO_READS = "convert it: samtools fastq IN > reads.fastq"
_TO_FASTA = "convert it to FASTA"
_TO_UTF8 = "save it as UTF-8"
_FETCH = "fetch the file itself again"

_REMEDIES = {
    "BAM": _TO_READS, "CRAM": _TO_READS, "SAM": _TO_READS,
    "GenBank": _TO_FASTA, "EMBL": _TO_FASTA, "Clustal": _TO_FASTA, "NEXUS": _TO_FASTA,
    "Stockholm": _TO_FASTA,
    "a zip archive": _UNPACK, "compressed by xz": _UNPACK, "compressed by bzip2": _UNPACK,
    "compressed by zstd": _UNPACK, "compressed by lz4": _UNPACK, "a 7z archive": _UNPACK,
    "a tar archive": _UNPACK, "compressed by gzip twice": _UNPACK,
    "UTF-16 text": _TO_UTF8, "UTF-32 text": _TO_UTF8,
    "an HTML page": _FETCH, "XML": _FETCH, "a Git LFS pointer": _FETCH,
}  # fmt: skip

# Binary signatures count only if a byte below 9 is present: text may begin with, e.g., "PAR1".
_BINARY = (
    (b"\xff\xfe\x00\x00", "UTF-32 text"), (b"\x00\x00\xfe\xff", "UTF-32 text"),
    (b"\xff\xfe", "UTF-16 text"), (b"\xfe\xff", "UTF-16 text"),
    (bytes.fromhex("43 27 41 1a"), TWOBIT), (bytes.fromhex("1a 41 27 43"), TWOBIT),
    (bytes.fromhex("26 fc 8f 88"), "bigWig"), (bytes.fromhex("88 8f fc 26"), "bigWig"),
    (bytes.fromhex("eb f2 89 87"), "bigBed"), (bytes.fromhex("87 89 f2 eb"), "bigBed"),
    (b"BAM\x01", "BAM"), (b"CRAM", "CRAM"), (b"BCF", BCF), (b"TBI\x01", "a tabix index"),
    (b"CSI\x01", "a CSI index"), (b"PAR1", PARQUET), (b"PK\x03\x04", "a zip archive"),
    (b"\xfd7zXZ\x00", "compressed by xz"), (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\x04\x22\x4d\x18", "compressed by lz4"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "compressed by gzip twice"), (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x93NUMPY", "a NumPy array"), (b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"),
    (b"SQLite format 3\x00", "an SQLite database"), (b"\x7fELF", "a program"),
)  # fmt: skip

_TEXTS = (
    (r"%PDF-", "PDF"), (r"<!doctype html|<html", "an HTML page"), (r"<\?xml|<[a-z]+[ >]", "XML"),
    (r"version https://git-lfs", "a Git LFS pointer"),
    (r"@(HD|SQ|RG|PG|CO)\t", "SAM"), (r"##fileformat=VCF", VCF), (r"##gff-version", "GFF"),
    (r"##maf", "MAF"), (r"LOCUS +\S", "GenBank"), (r"ID   \S", "EMBL"), (r"CLUSTAL", "Clustal"),
    (r"#NEXUS", "NEXUS"), (r"# STOCKHOLM", "Stockholm"), (r"(track|browser) ", "BED or bedGraph"),
    (r">", FASTA), (r"@[^\r\n]*\Z", FASTQ), (r"@[^\r\n]*(\r\n?|\n)[^@]", FASTQ),
    (r"[^\t\r\n]+\t\d+\t\d+\s", "BED"), (r"\S+ +\d+ +\d+\s", "BED"), (r"[\[{]", "JSON"),
)  # fmt: skip

_NEVER_A_TABLE = ("PDF", "an HTML page", "a Git LFS pointer")
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")
_TAR = slice(257, 262)


def format_of(head: bytes) -> str:
    r"""Return the format of a file from its first uncompressed bytes.

    A UTF-8 byte order mark and whitespace before the first character are skipped.

    Examples
    --------
    >>> format_of(b">chr1 a contig"), format_of(b"@read1\nACGT\n+\nIIII"), format_of(b"BAM\1")
    ('FASTA', 'FASTQ', 'BAM')
    """
    if _BZIP2.match(head):
        return "compressed by bzip2"
    if head[_TAR] == b"ustar":
        return "a tar archive"
    is_binary = any(byte < 9 for byte in set(head)) or head[:2] in (b"\xff\xfe", b"\xfe\xff")
    if is_binary:
        found = next((name for magic, name in _BINARY if head.startswith(magic)), None)
        if found:
            return found
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().decode("latin-1")
    if not text:
        return EMPTY
    found = next((name for start, name in _TEXTS if re.match(start, text, re.IGNORECASE)), None)
    return found or (BINARY if is_binary else TEXT)


def is_text(name: str) -> bool:
    """Return whether a format from `format_of` may be read as text, line by line.

    Damaged text, such as FASTA with NUL bytes, is included: its reader reports the place.
    """
    binary = {each for _, each in _BINARY} | {"compressed by bzip2", "a tar archive"}
    return name not in binary and name not in _NEVER_A_TABLE


def unsupported(path: Path, found: str, expected: str) -> InputError:
    """Return the error for a file of an unsupported format.

    Parameters
    ----------
    path
        The file.
    found
        Its format, from `format_of`.
    expected
        Description of the supported formats.
    """
    remedy = f"; {_REMEDIES[found]}" if found in _REMEDIES else ""
    return InputError(f"{path} is {found}; expected {expected}{remedy}")
