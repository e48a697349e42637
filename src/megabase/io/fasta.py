"""Letters by Interval from FASTA: plain, gzip, bgzip, indexed; and letters to FASTA.

Positions in a contig are computed by arithmetic. All lines of a contig except the last must
therefore have the same length and line end, and contain letters only. Any other file is an error
that names the line, because its index would return wrong letters.
"""

import gzip
import json
import logging
import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedIOBase, StringIO
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pysam
from jaxtyping import UInt8

from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.genome.reference import check_inside, checked_on_strand
from megabase.io.compression import (
    check_bgzip_is_whole,
    compression,
    open_bytes,
    uncompressed_name,
    write_gzi,
)
from megabase.io.derived_files import remembered_sha256, temporary_path
from megabase.io.sequence_file import bad_letter, name_of

_PIECE = 1 << 20  # bytes
_IS_LETTER = np.array([bytes([byte]).isalpha() for byte in range(256)])
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_LETTER = re.compile(rb"[^!-~]|\d")
_REWRAP = (
    "an index needs lines of equal length in a contig, except the last; rewrite the file "
    "(seqtk seq -l 60 IN > OUT)"
)


@dataclass
class Contig:
    """A contig as described by a line of a ``.fai`` index.

    Parameters
    ----------
    name
        The header up to its first space or tab.
    length
        Number of letters.
    offset
        Offset of the first letter, in bytes from the start of the file.
    line_letters, line_bytes
        Number of letters and of bytes, line end included, of a full line.
    """

    name: str
    length: int = 0
    offset: int = 0
    line_letters: int = 0
    line_bytes: int = 0

    @property
    def fai_line(self) -> str:
        """The line of the index, in the format of samtools."""
        fields = (self.name, self.length, self.offset, self.line_letters, self.line_bytes)
        return "\t".join(map(str, fields))


def scan_contigs(path: Path, name: str) -> list[Contig]:
    """Read a FASTA file once, and return its contigs in order, including empty ones.

    Parameters
    ----------
    path
        FASTA, plain or bgzip; offsets are those of the uncompressed bytes.
    name
        Name of the file in an error.

    Raises
    ------
    InputError
        If a line cannot be indexed, a contig name is missing, not ASCII or repeated, the file
        has no letters, or it is truncated. The message has the number of the line.
    """
    scan = _Scan(name)
    with open_bytes(path) as file:
        lines = _Lines(file)
        while line := lines.next():
            scan.read(line)
            if scan.is_open and scan.contig.length:
                scan.add_whole(lines.skip_whole(scan.contig, scan.end))
    if not any(contig.length for contig in scan.contigs):
        raise InputError(
            f"{name} has no sequence with letters; expected letters after each line '>name'"
        )
    return scan.contigs


class _Lines:
    """The lines of a file, read one by one, or in bulk while they have the same shape."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0

    def next(self) -> bytes:
        """Return the next line with its line end; empty at the end of the file."""
        parts: list[bytes] = []
        while not (stop := self._buffer.find(b"\n", self._at) + 1):
            parts.append(self._buffer[self._at :])
            self._buffer, self._at = self._file.read(_PIECE), 0
            if not self._buffer:
                return b"".join(parts)
        parts.append(self._buffer[self._at : stop])
        self._at = stop
        return b"".join(parts)

    def skip_whole(self, contig: Contig, end: bytes) -> int:
        """Skip the full lines of a contig that follow, and return their number.

        Parameters
        ----------
        contig
            The contig, whose first line has set the shape of its lines.
        end
            Line end of the contig.
        """
        n, width, n_lines = contig.line_letters, contig.line_bytes, 0
        if not end:
            return 0
        while True:
            rows = self._rows(width)
            # check all lines in the buffer at once: letters first, then the line end
            is_whole = _IS_LETTER[rows[:, :n]].all(axis=1)
            is_whole &= (rows[:, n:] == np.frombuffer(end, dtype=np.uint8)).all(axis=1)
            n_found = len(rows) if is_whole.all() else int(is_whole.argmin())
            self._at += n_found * width
            n_lines += n_found
            if n_found < len(rows) or not n_found:
                return n_lines

    def _rows(self, width: int) -> UInt8[np.ndarray, "line width"]:
        """Return the buffer as rows of `width` bytes; read more if it has none."""
        if len(self._buffer) - self._at < width:
            rest = self._buffer[self._at :]
            self._buffer, self._at = rest + self._file.read(_PIECE), 0
        n_rows = (len(self._buffer) - self._at) // width
        held = np.frombuffer(self._buffer, np.uint8, n_rows * width, self._at)
        return held.reshape(n_rows, width)


class _Scan:
    """The state of a scan: the contigs so far, the last of which is open, and the position."""

    def __init__(self, name: str) -> None:
        self._path = name
        self._names: set[str] = set()
        self.contigs: list[Contig] = []
        self.contig = Contig("")
        self.number = 0  # lines read
        self.at = 0  # bytes read
        self.end = b""  # line end of the contig
        self.is_open = False  # whether more letters may follow in the contig
        self._last = ""  # message about the line that ended the contig

    def read(self, line: bytes) -> None:
        """Read a line of any kind."""
        self.number += 1
        text = line.removeprefix(_BYTE_ORDER_MARK) if self.number == 1 else line
        if text.startswith(b">"):
            self._header(text.rstrip(b"\r\n").decode("latin-1"), self.at + len(line))
        elif not text.strip():
            self._blank()
        elif self.contigs:
            self._letters(text)
        else:
            begin = text[:20].strip().decode("latin-1")
            raise InputError(
                f"{self._path} is not FASTA: expected '>name' at its start, got {begin!r} in line "
                f"{self.number:,}"
            )
        self.at += len(line)

    def add_whole(self, n_lines: int) -> None:
        """Count full lines of the contig that were checked elsewhere."""
        self.contig.length += n_lines * self.contig.line_letters
        self.at += n_lines * self.contig.line_bytes
        self.number += n_lines

    def _header(self, text: str, offset: int) -> None:
        for control in "\0\r":
            if control in text:
                raise bad_letter(self._path, name_of(text[1:]), text, self.number, control)
        name = name_of(text[1:])
        if not name:
            raise self._error("a contig has no name; write one after '>'")
        if not (name.isascii() and name.isprintable()):
            raise self._error(f"the contig name {name!r} is not printable ASCII; rename it")
        if name in self._names:
            raise self._error(f"contig {name!r} is in the file twice; rename one of them")
        self._names.add(name)
        self.contig = Contig(name, offset=offset)
        self.contigs.append(self.contig)
        self.end, self.is_open = b"", True

    def _blank(self) -> None:
        """Read a blank line: if the contig has letters already, no more may follow."""
        if self.contig.length and self.is_open:
            self._close("a blank line")

    def _letters(self, line: bytes) -> None:
        contig, letters = self.contig, line.rstrip(b"\r\n")
        n, end = len(letters), line[len(letters) :]
        if not letters.isalpha() and (found := _NO_LETTER.search(letters)):
            text, letter = letters.decode("latin-1"), found[0].decode("latin-1")
            raise bad_letter(self._path, contig.name, text, self.number, letter)
        if not self.is_open:
            raise InputError(
                f"{self._last}; more letters of {contig.name!r} follow in line "
                f"{self.number:,}; {_REWRAP}"
            )
        if not contig.length:
            contig.offset, contig.line_letters, contig.line_bytes = self.at, n, len(line)
            self.end = end
        elif n > contig.line_letters:
            raise self._error(f"{self._unequal(n)}; {_REWRAP}")
        elif n < contig.line_letters:
            self._close(self._unequal(n))
        elif end != self.end:
            self._close(f"the line end is {end!r}, but earlier lines end in {self.end!r}")
        contig.length += n

    def _close(self, why: str) -> None:
        self.is_open = False
        self._last = str(self._error(why))

    def _unequal(self, n: int) -> str:
        return (
            f"{n:,} letters, but earlier lines of {self.contig.name!r} have "
            f"{self.contig.line_letters:,}"
        )

    def _error(self, message: str) -> InputError:
        return InputError(f"{self._path}, line {self.number:,}: {message}")


_log = logging.getLogger(__name__)

_LINE = 60  # letters of a line
_LAYOUT = 1  # version of the cached index; increase it when the format changes


def write_fasta(file: IO[str] | StringIO, header: str, letters: str) -> None:
    """Write one sequence, in lines of 60 letters.

    Parameters
    ----------
    file
        An open text file.
    header
        The text after '>': the name, and after a space an optional description.
    letters
        The sequence.
    """
    lines = (letters[start : start + _LINE] for start in range(0, len(letters), _LINE))
    file.write("\n".join([f">{header}", *lines]) + "\n")


class FastaReference:
    """A FASTA file as a Reference, read through an index.

    The index is built from the file, of which every line is checked. It is kept in `cache` under
    the SHA-256 of the file's content; indexes next to the file are neither read nor written. A
    file in plain gzip, which has no random access, is unpacked into `cache` once.

    Parameters
    ----------
    path
        FASTA, plain or compressed by gzip or bgzip.
    cache
        Folder for indexes and unpacked files.

    Raises
    ------
    InputError
        If the file is missing, truncated or damaged, has no sequence or a repeated contig name,
        or has a line that cannot be indexed.
    """

    def __init__(self, path: Path, *, cache: Path) -> None:
        self._name = str(path)
        _check_readable(path)
        kind = compression(path)
        if kind == "bgzip":
            check_bgzip_is_whole(path, name=self._name)
        indexed = _unpacked(path, cache) if kind == "gzip" else path
        index = _find_index(indexed, cache, self._name)
        self._file = pysam.FastaFile(
            str(indexed),
            filepath_index=str(index.path),
            filepath_index_compressed=str(index.blocks) if kind == "bgzip" else None,
        )
        self._lengths = dict(zip(self._file.references, self._file.lengths, strict=True))
        if index.n_empty:
            n, n_all = index.n_empty, index.n_empty + len(self._lengths)
            _log.warning("%s of %s contigs of %s have no letters", f"{n:,}", f"{n_all:,}", path)

    @property
    def name(self) -> str:
        """The path as given."""
        return self._name

    @property
    def lengths(self) -> Mapping[str, int]:
        """The length of each contig in base pairs, in the order of the file."""
        return self._lengths

    def fetch(self, interval: Interval) -> str:
        """Return the letters of `interval`; see `Reference.fetch`."""
        check_inside(interval, self._lengths, self._name)
        loudness = pysam.set_verbosity(0)  # our message replaces that of the library
        try:
            letters: str = self._file.fetch(interval.contig, interval.start, interval.end)
        except (OSError, ValueError) as error:
            raise WorkError(f"{interval} of {self._name} could not be read: {error}") from error
        finally:
            pysam.set_verbosity(loudness)
        return checked_on_strand(letters, interval, self._name)


def _check_readable(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"there is no genome file {path}; give the path of a FASTA or 2bit file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; a FASTA file starts with a line '>name'")


def _unpacked(path: Path, cache: Path) -> Path:
    """Return the unpacked copy of a gzip file in the cache; unpack each content once."""
    key = remembered_sha256(path, cache)[:16]
    target = cache / "fasta" / f"{key}-{uncompressed_name(path)}"
    if target.exists():
        return target
    _log.info("%s is plain gzip: unpacking it once to %s", path, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_path(target)
    try:
        with gzip.open(path) as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file, length=1 << 20)
        part.replace(target)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is truncated or damaged ({error}); copy it again") from error
    finally:
        part.unlink(missing_ok=True)
    return target


class _Index(NamedTuple):
    """The paths of an index, and the number of contigs without letters that it leaves out."""

    path: Path
    blocks: Path
    n_empty: int


def _find_index(path: Path, cache: Path, name: str) -> _Index:
    """Return the index of the current content of a file; build it if absent."""
    folder = cache / "fai" / f"{remembered_sha256(path, cache)}-{_LAYOUT}"
    if not folder.exists():
        _build_index(path, folder, name)
    n_empty = json.loads((folder / "n_empty.json").read_text(encoding="utf-8"))
    return _Index(folder / "index.fai", folder / "index.gzi", n_empty)


def _build_index(path: Path, folder: Path, name: str) -> None:
    """Write the index under a temporary name, then rename it."""
    contigs = scan_contigs(path, name)
    part = temporary_path(folder)
    part.mkdir(parents=True)
    try:
        filled = [contig for contig in contigs if contig.length]
        (part / "index.fai").write_text(
            "".join(f"{contig.fai_line}\n" for contig in filled), encoding="utf-8"
        )
        (part / "n_empty.json").write_text(json.dumps(len(contigs) - len(filled)), encoding="utf-8")
        if compression(path) == "bgzip":
            write_gzi(path, part / "index.gzi")
        part.replace(folder)
    except OSError:
        if not folder.exists():  # otherwise another process has just built the same index
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
