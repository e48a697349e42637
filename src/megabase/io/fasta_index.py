"""Where the letters of each contig of a FASTA file lie, found by a check of every line.

A place in a contig is found by arithmetic, so all lines of its letters but the last must have
one length and one end, and hold nothing but letters. A file of any other shape is an error that
names the line: its index would give other letters than those requested.
"""

import re
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.io.compression import open_bytes
from megabase.io.sequence_file import bad_letter, name_of

_PIECE = 1 << 20  # bytes
_IS_LETTER = np.array([bytes([byte]).isalpha() for byte in range(256)])
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_LETTER = re.compile(rb"[^!-~]|\d")
_REWRAP = (
    "all lines of a contig but its last have one length, or no index finds their letters; rewrite "
    "the file (seqtk seq -l 60 IN > OUT)"
)


@dataclass
class Contig:
    """A contig as a line of a ``.fai`` index describes it.

    Parameters
    ----------
    name
        The header up to its first blank.
    length
        Letters.
    offset
        Of the first letter, in bytes from the start of the file.
    line_letters, line_bytes
        Of a whole line, without and with its end.
    """

    name: str
    length: int = 0
    offset: int = 0
    line_letters: int = 0
    line_bytes: int = 0

    @property
    def fai_line(self) -> str:
        """The line of the index, as the SAM tools define it."""
        fields = (self.name, self.length, self.offset, self.line_letters, self.line_bytes)
        return "\t".join(map(str, fields))


def scan_contigs(path: Path, name: str) -> list[Contig]:
    """Read a FASTA file once, and return its contigs in order, those without letters too.

    Parameters
    ----------
    path
        FASTA, plain or bgzip; offsets count bytes without the compression.
    name
        What to call the file in an error.

    Raises
    ------
    InputError
        At the first line that cannot be indexed, with its number; if a name is missing, is not
        ASCII or stands twice, if there is no letter, or the file is cut short.
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
            f"{name} holds no sequence with letters; a FASTA file has some after each line '>name'"
        )
    return scan.contigs


class _Lines:
    """The lines of a file, one by one, or all at once those of one shape that follow each other."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0

    def next(self) -> bytes:
        """Return the next line with its end; nothing at the end of the file."""
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
        """Pass over the whole lines of a contig that follow, and return their number."""
        n, width, n_lines = contig.line_letters, contig.line_bytes, 0
        if not end:
            return 0
        while True:
            rows = self._rows(width)
            is_whole = _IS_LETTER[rows[:, :n]].all(axis=1)
            is_whole &= (rows[:, n:] == np.frombuffer(end, dtype=np.uint8)).all(axis=1)
            n_found = len(rows) if is_whole.all() else int(is_whole.argmin())
            self._at += n_found * width
            n_lines += n_found
            if n_found < len(rows) or not n_found:
                return n_lines

    def _rows(self, width: int) -> UInt8[np.ndarray, "line width"]:
        """Return what is held as lines of a width; read on if it holds none."""
        if len(self._buffer) - self._at < width:
            rest = self._buffer[self._at :]
            self._buffer, self._at = rest + self._file.read(_PIECE), 0
        n_rows = (len(self._buffer) - self._at) // width
        held = np.frombuffer(self._buffer, np.uint8, n_rows * width, self._at)
        return held.reshape(n_rows, width)


class _Scan:
    """What was read so far: the contigs, the last of which may go on, and the place in the file."""

    def __init__(self, name: str) -> None:
        self._path = name
        self._names: set[str] = set()
        self.contigs: list[Contig] = []
        self.contig = Contig("")
        self.number = 0  # of lines
        self.at = 0  # bytes
        self.end = b""  # of the lines of the contig
        self.is_open = False  # whether letters may follow in the contig
        self._last = ""  # the line that ended it, for an error

    def read(self, line: bytes) -> None:
        """Read a line that may be of any kind."""
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
                f"{self._path} holds no sequence: line {self.number:,} is {begin!r}, and FASTA "
                "begins with '>name'"
            )
        self.at += len(line)

    def add_whole(self, n_lines: int) -> None:
        """Count lines of the contig that are known to be whole."""
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
            raise self._error(f"contig {name!r} stands twice in the file; rename one of them")
        self._names.add(name)
        self.contig = Contig(name, offset=offset)
        self.contigs.append(self.contig)
        self.end, self.is_open = b"", True

    def _blank(self) -> None:
        """Read a line without letters: none may follow in the contig if some came before."""
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
                f"{self._last}, and more letters of {contig.name!r} follow in line "
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
            self._close(f"its end is {end!r}, before it {self.end!r}")
        contig.length += n

    def _close(self, why: str) -> None:
        self.is_open = False
        self._last = str(self._error(why))

    def _unequal(self, n: int) -> str:
        return (
            f"{n:,} letters, where lines of {self.contig.name!r} have {self.contig.line_letters:,}"
        )

    def _error(self, message: str) -> InputError:
        return InputError(f"{self._path}, line {self.number:,}: {message}")
