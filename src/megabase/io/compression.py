"""Compression by gzip and bgzip: detect it, check that files are complete, open their text."""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from megabase.errors import InputError
from megabase.io.file_format import format_of, is_text, unsupported

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
