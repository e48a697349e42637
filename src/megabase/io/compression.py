"""The format of a file by its first bytes, how it is compressed, and the text in it."""

import gzip
import io
import re
import struct
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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


_GZIP_MAGIC = b"\x1f\x8b"
_BGZIP_BLOCK = b"\x1f\x8b\x08\x04"
_BGZIP_FIELD = b"\x06\x00BC\x02\x00"  # the extra field of a block, before its size
_BGZIP_HEADER, _BGZIP_LEAST = 18, 26  # bytes of the header of a block, and of the smallest block
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every complete bgzip file (SAM specification, section 4.1.2)."""

_SUFFIXES = (".gz", ".bgz")
_HEAD = 1 << 16  # bytes from which a format is recognised
_PIECE = 1 << 20


def uncompressed_name(path: Path) -> str:
    """Return the name of a file without the suffix of gzip or bgzip, ``.gz`` or ``.bgz``.

    Examples
    --------
    >>> uncompressed_name(Path("data/Genes.bed.BGZ")), uncompressed_name(Path("genes.bed"))
    ('Genes.bed', 'genes.bed')
    """
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name


def compression(path: Path) -> str:
    """Return "none", "gzip" or "bgzip", recognised by the first block."""
    with path.open("rb") as file:
        head = file.read(_BGZIP_HEADER)
    if not head.startswith(_GZIP_MAGIC):
        return "none"
    is_bgzip = len(head) == _BGZIP_HEADER and head[3] & 4 and head[12:14] == b"BC"
    return "bgzip" if is_bgzip else "gzip"


def check_bgzip_is_whole(path: Path, *, name: str) -> None:
    """Raise an InputError unless a bgzip file ends with the end marker.

    Parameters
    ----------
    path
        The file.
    name
        Name of the file in the error.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_BGZIP_END)))
        if file.read() != _BGZIP_END:
            raise InputError(
                f"{name} is truncated: its bgzip end marker is missing, or other bytes follow it; "
                "copy it again"
            )


def write_gzi(path: Path, target: Path) -> None:
    """Write the block index of a bgzip file, as ``bgzip --reindex`` does.

    It contains a count and, for each block except the first, its offset in the compressed and
    in the uncompressed data, as little-endian 64-bit words.

    Parameters
    ----------
    path
        The bgzip file.
    target
        The index to write.

    Raises
    ------
    InputError
        If the file is not a sequence of blocks from the first byte to the last.
    """
    starts: list[tuple[int, int]] = []
    at = unpacked = 0
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        while at < n_bytes:
            file.seek(at)
            head = file.read(_BGZIP_HEADER)
            length = int.from_bytes(head[16:18], "little") + 1  # the field holds the size less one
            is_block = head.startswith(_BGZIP_BLOCK) and head[10:16] == _BGZIP_FIELD
            if not is_block or length < _BGZIP_LEAST or at + length > n_bytes:
                raise InputError(f"{path} is damaged: no bgzip block at byte {at:,}; copy it again")
            file.seek(at + length - 4)  # a block ends with its uncompressed size
            at, unpacked = at + length, unpacked + int.from_bytes(file.read(4), "little")
            starts.append((at, unpacked))
    kept = [start for start in starts if start[1] < unpacked]  # without the empty block at the end
    words = [len(kept), *(word for start in kept for word in start)]
    target.write_bytes(struct.pack(f"<{len(words)}Q", *words))


def file_format(path: Path) -> str:
    """Return the format of a file from its content, also inside gzip or bgzip.

    Raises
    ------
    InputError
        If the file is missing, or its compressed beginning is damaged.
    """
    with open_bytes(path) as file:
        return format_of(file.read(_HEAD))


@contextmanager
def open_bytes(path: Path) -> Generator[io.BufferedIOBase]:
    """Open a file as uncompressed bytes; gzip and bgzip are uncompressed while reading.

    Raises
    ------
    InputError
        If the file is missing, or turns out to be truncated or damaged while it is read.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file")
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    kind = compression(path)
    if kind == "bgzip":
        check_bgzip_is_whole(path, name=str(path))
    try:
        with path.open("rb") if kind == "none" else gzip.open(path) as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is truncated or damaged ({error}); copy it again") from error


@contextmanager
def open_text(
    path: Path, *, newline: str | None = None, refuse_nul: bool = True
) -> Generator[IO[str]]:
    """Open a UTF-8 text file that may be compressed by gzip or bgzip.

    A byte order mark at the start is skipped. Text that the caller leaves unread is read at the
    end, so that a truncated file is an error for every caller.

    Parameters
    ----------
    path
        The file.
    newline
        The `newline` of `open`; a reader of CSV needs unmodified line ends, ``""``.
    refuse_nul
        Whether a NUL byte is an error; False if the caller checks for it.

    Raises
    ------
    InputError
        If the file is missing or not text, or turns out to be truncated, damaged or not UTF-8
        while it is read.
    """
    found = file_format(path)
    if not is_text(found):
        raise unsupported(path, found, "text, plain or compressed by gzip or bgzip")
    try:
        with (
            open_bytes(path) as binary,
            io.TextIOWrapper(
                io.BufferedReader(_TextBytes(binary, path, refuse_nul=refuse_nul)),
                encoding="utf-8-sig",
                newline=newline,
            ) as file,
        ):
            yield file
            while file.read(_PIECE):
                pass
    except UnicodeDecodeError as error:
        line = _line_where(path, _is_no_utf8)
        raise InputError(
            f"{path}, line {line:,}: byte 0x{error.object[error.start]:02x} is not UTF-8; save "
            "the file as UTF-8 text"
        ) from error


class _TextBytes(io.RawIOBase):
    """The bytes of a text; a NUL byte raises an error that names the line."""

    def __init__(self, file: io.BufferedIOBase, path: Path, *, refuse_nul: bool) -> None:
        self._file = file
        self._path = path
        self._refuse_nul = refuse_nul

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        piece = self._file.read(len(buffer))
        if self._refuse_nul and b"\0" in piece:
            line = _line_where(self._path, lambda text: b"\0" in text)
            raise InputError(
                f"{self._path}, line {line:,}: a NUL byte; the file is damaged or not text: copy "
                "it again, or save it as UTF-8 text"
            )
        buffer[: len(piece)] = piece
        return len(piece)


def _is_no_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False


def _line_where(path: Path, is_it: Callable[[bytes], bool]) -> int:
    """Return the number of the first line that meets a condition, counted from 1."""
    with open_bytes(path) as file:
        return next((number for number, line in enumerate(file, start=1) if is_it(line)), 1)
