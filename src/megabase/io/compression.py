"""How a file is compressed, and whether it is whole."""

import gzip
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from megabase.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every whole bgzip file (SAM specification, section 4.1.2)."""


def compression(path: Path) -> str:
    """Tell "none", "gzip" and "bgzip" apart by the first block."""
    with path.open("rb") as file:
        head = file.read(18)
    if not head.startswith(_GZIP_MAGIC):
        return "none"
    return "bgzip" if len(head) == 18 and head[3] & 4 and head[12:14] == b"BC" else "gzip"


def check_bgzip_is_whole(path: Path, *, name: str) -> None:
    """Raise an InputError if a bgzip file does not end as every whole one does."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_BGZIP_END)))
        if file.read() != _BGZIP_END:
            raise InputError(f"{name} is cut short: its bgzip end marker is missing; copy it again")


@contextmanager
def open_text(path: Path, *, newline: str | None = None) -> Generator[IO[str]]:
    """Open a text file that may be gzipped, and say so if it is cut short or no text.

    Parameters
    ----------
    path
        The file.
    newline
        As of `open`; a reader of CSV wants the ends of lines as they are, ``""``.

    Raises
    ------
    InputError
        If there is no such file, or, while it is read, it is cut short or no text.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    is_plain = compression(path) == "none"
    try:
        with (
            path.open(encoding="utf-8-sig", newline=newline)
            if is_plain
            else gzip.open(path, "rt", encoding="utf-8-sig", newline=newline)
        ) as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is cut short or damaged ({error}); copy it again") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: {error}") from error
