"""How a file is compressed, whether it is whole, and the text in it."""

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
_BGZIP_HEADER, _BGZIP_LEAST = 18, 26  # bytes of the beginning of a block, and of the least one
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every whole bgzip file (SAM specification, section 4.1.2)."""

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
    """Tell "none", "gzip" and "bgzip" apart by the first block."""
    with path.open("rb") as file:
        head = file.read(_BGZIP_HEADER)
    if not head.startswith(_GZIP_MAGIC):
        return "none"
    is_bgzip = len(head) == _BGZIP_HEADER and head[3] & 4 and head[12:14] == b"BC"
    return "bgzip" if is_bgzip else "gzip"


def check_bgzip_is_whole(path: Path, *, name: str) -> None:
    """Raise an InputError if a bgzip file does not end as every whole one does."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_BGZIP_END)))
        if file.read() != _BGZIP_END:
            raise InputError(
                f"{name} is cut short: its bgzip end marker is missing, or other bytes follow it; "
                "copy it again"
            )


def write_gzi(path: Path, target: Path) -> None:
    """Write the index of the blocks of a bgzip file, as ``bgzip --reindex`` does.

    It is a count, and for each block but the first where it starts: in the file, and in what
    is compressed; little-endian words of 64 bits.

    Raises
    ------
    InputError
        If the blocks do not follow each other from the first byte to the last.
    """
    starts: list[tuple[int, int]] = []
    at = unpacked = 0
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        while at < n_bytes:
            file.seek(at)
            head = file.read(_BGZIP_HEADER)
            length = int.from_bytes(head[16:18], "little") + 1
            is_block = head.startswith(_BGZIP_BLOCK) and head[10:16] == _BGZIP_FIELD
            if not is_block or length < _BGZIP_LEAST or at + length > n_bytes:
                raise InputError(f"{path} is damaged: no bgzip block at byte {at:,}; copy it again")
            file.seek(at + length - 4)
            at, unpacked = at + length, unpacked + int.from_bytes(file.read(4), "little")
            starts.append((at, unpacked))
    kept = [start for start in starts if start[1] < unpacked]  # without the empty block at the end
    words = [len(kept), *(word for start in kept for word in start)]
    target.write_bytes(struct.pack(f"<{len(words)}Q", *words))


def file_format(path: Path) -> str:
    """Name the format of a file by its content, also inside gzip or bgzip.

    Raises
    ------
    InputError
        If there is no such file, or its compressed beginning is damaged.
    """
    with open_bytes(path) as file:
        return format_of(file.read(_HEAD))


@contextmanager
def open_bytes(path: Path) -> Generator[io.BufferedIOBase]:
    """Open what a file holds, without its compression by gzip or bgzip.

    Raises
    ------
    InputError
        If there is no such file, or, while it is read, it is cut short or damaged.
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
        raise InputError(f"{path} is cut short or damaged ({error}); copy it again") from error


@contextmanager
def open_text(
    path: Path, *, newline: str | None = None, refuse_nul: bool = True
) -> Generator[IO[str]]:
    """Open a text file that may be compressed by gzip or bgzip.

    It is UTF-8; a byte order mark at its start is passed over. What the caller leaves unread
    is read at the end, so that a file that is cut short is an error for every caller.

    Parameters
    ----------
    path
        The file.
    newline
        As of `open`; a reader of CSV wants the ends of lines as they are, ``""``.
    refuse_nul
        False if the caller looks for NUL bytes, and names the place better.

    Raises
    ------
    InputError
        If there is no such file, it is of a format that is not text, or, while it is read,
        it is cut short, damaged, or not UTF-8.
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
    """The bytes of a text, in which NUL is an error that names the line."""

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
                f"{self._path}, line {line:,}: a NUL byte, which no text has; the file is damaged "
                "or not text: copy it again, or save it as UTF-8 text"
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
    """Return the number of the first line that fulfils a condition, counted from 1."""
    with open_bytes(path) as file:
        return next((number for number, line in enumerate(file, start=1) if is_it(line)), 1)
