"""Read the sequences of a FASTA or FASTQ file in order, without an index."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from megabase.errors import InputError
from megabase.io.compression import (
    EMPTY,
    FASTA,
    FASTQ,
    TEXT,
    file_format,
    open_text,
    uncompressed_name,
    unsupported,
)

SUFFIXES = (".fa", ".fasta", ".fna", ".fq", ".fastq")
"""The suffixes of FASTA and FASTQ files, before ``.gz`` or ``.bgz``."""

_OTHERS = (".csv", ".tsv", ".tab", ".parquet", ".bed")

_log = logging.getLogger(__name__)

_FORMATS = "FASTA or FASTQ, plain or compressed by gzip or bgzip"
_BLANKS = str.maketrans("", "", " \t")
_NO_LETTER = re.compile(
    r"[^!-~]|\d", re.ASCII
)  # invalid in a line of letters, after removal of spaces and tabs
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[ \t]*([^ \t]*)")
_NO_QUALITY = re.compile(r"[^!-~]")
_Lines = Iterator[tuple[int, str]]


class SequenceRecord(NamedTuple):
    """One sequence: the whole header after '>' or '@', and the letters."""

    header: str
    letters: str

    @property
    def name(self) -> str:
        """The header up to its first space or tab."""
        return name_of(self.header)


def name_of(header: str) -> str:
    r"""Return the name of a sequence: its header up to the first space or tab.

    Examples
    --------
    >>> name_of("chr1 a contig"), name_of("read/1\tlane 2"), name_of("")
    ('chr1', 'read/1', '')
    """
    found = _NAME.match(header)
    return found[1] if found else ""


def has_sequence_suffix(path: Path) -> bool:
    """Return whether a file has the name of a FASTA or FASTQ file."""
    return uncompressed_name(path).lower().endswith(SUFFIXES)


def holds_sequences(path: Path) -> bool:
    """Return whether a file is FASTA or FASTQ, by its suffix or else by its content.

    A file with the suffix of a table or of BED is not.
    """
    if has_sequence_suffix(path):
        return True
    is_other = Path(uncompressed_name(path)).suffix.lower() in _OTHERS
    return not is_other and path.is_file() and file_format(path) in (FASTA, FASTQ)


def read_sequences(path: Path, *, tell: bool = True) -> Iterator[SequenceRecord]:
    """Yield the sequences of a FASTA or FASTQ file in order.

    The format is recognised by content. Lines may have any length, and may be empty; spaces and
    tabs among the letters are removed. Names may repeat, and a sequence may be empty. FASTQ
    qualities are checked and dropped; sequences and qualities may span several lines. One
    sequence is held in memory at a time.

    Parameters
    ----------
    path
        FASTA or FASTQ, plain or compressed by gzip or bgzip.
    tell
        Whether to log that qualities or spaces are dropped.

    Raises
    ------
    InputError
        If the file is missing, of another format, truncated or damaged; the message has the line.
    """
    found = file_format(path)
    if found == EMPTY:
        raise InputError(f"{path} is empty; a FASTA file starts with a line '>name'")
    if found not in (FASTA, FASTQ):
        raise _other_format(path, found)
    text = _Text(path, tell=tell)
    with open_text(path, newline="", refuse_nul=False) as file:
        lines = text.checked(file)
        if found == FASTA:
            yield from _read_fasta(lines, text)
        else:
            if tell:
                _log.info("%s is FASTQ: its qualities are not used", path)
            yield from _read_fastq(lines, text)


def _other_format(path: Path, found: str) -> InputError:
    if found != TEXT:
        return unsupported(path, found, _FORMATS)
    with open_text(path) as file:
        begin = next((line.strip() for line in file if line.strip()), "")
    return InputError(
        f"{path} is neither FASTA nor FASTQ: expected '>' or '@' at its start, got {begin[:20]!r}"
    )


class _Text:
    """The lines of a sequence file, each checked for invalid characters."""

    def __init__(self, path: Path, *, tell: bool) -> None:
        self._path = path
        self._tell = tell
        self._name = ""

    def checked(self, file: Iterator[str]) -> _Lines:
        """Yield each line without its line end, and its number from 1; check all line ends."""
        is_cr = False
        for number, line in enumerate(file, start=1):
            if number == 1:
                is_cr = line.endswith("\r")
            if is_cr or "\r" in line:
                self._check_end(line, number, "\r" if is_cr else "\n")
            yield number, line.rstrip("\r\n")

    def _check_end(self, line: str, number: int, end: str) -> None:
        if line.endswith(("\r", "\n")) and not line.endswith(end):
            raise self.error(number, "a carriage return within a line; remove it")

    def header(self, line: str, number: int) -> str:
        """Return the header of a record."""
        if found := _CONTROL.search(line):
            raise self.error(number, f"the control character {found[0]!r} in a name; remove it")
        header = line[1:].strip(" \t")
        self._name = name_of(header)
        return header

    def letters(self, line: str, number: int) -> str:
        """Return the letters of a line, without spaces and tabs."""
        if line.isalpha() and line.isascii():
            return line
        kept = line.translate(_BLANKS)
        if found := _NO_LETTER.search(kept):
            raise bad_letter(str(self._path), self._name, line, number, found[0])
        if len(kept) < len(line) and self._tell:
            _log.info("%s: spaces among the letters are removed (line %s)", self._path, number)
            self._tell = False
        return kept

    def error(self, number: int, message: str) -> InputError:
        """Return an error that names file and line."""
        return InputError(f"{self._path}, line {number:,}: {message}")


def bad_letter(path: str, name: str, line: str, number: int, letter: str) -> InputError:
    """Return the error for an invalid character in a line of letters, with its place.

    Parameters
    ----------
    path, name
        Names of the file and of the sequence in it.
    line, number
        The line, and its number counted from 1.
    letter
        The character, which occurs in the line.
    """
    what, remedy = repr(letter), "correct or remove it"
    if letter == "\0":
        what, remedy = "a NUL byte", "the file is damaged; copy it again"
    elif letter == "\r":
        what, remedy = "a carriage return", "write line ends as LF: tr '\\r' '\\n' < IN > OUT"
    elif letter in " \t":
        what, remedy = "white space", "remove it: sed '/^>/!s/[[:space:]]//g' IN > OUT"
    elif letter.isdigit():
        what, remedy = f"the digit {letter}", "remove numbers from the lines of letters"
    return InputError(
        f"{path}, line {number:,}, column {line.index(letter) + 1:,}: {what} among the letters of "
        f"{name!r}; {remedy}"
    )


def _read_fasta(lines: _Lines, text: _Text) -> Iterator[SequenceRecord]:
    header: str | None = None
    parts: list[str] = []
    for number, line in lines:
        if line.startswith(">"):
            if header is not None:
                yield SequenceRecord(header, "".join(parts))
            header, parts = text.header(line, number), []
        elif line:
            parts.append(text.letters(line, number))
    if header is not None:
        yield SequenceRecord(header, "".join(parts))


def _read_fastq(lines: _Lines, text: _Text) -> Iterator[SequenceRecord]:
    for number, line in lines:
        if not line.strip():
            continue
        if not line.startswith("@"):
            raise text.error(number, f"a FASTQ record must start with '@', got {line[:20]!r}")
        header = text.header(line, number)
        letters = _fastq_letters(lines, text, header, number)
        _check_qualities(lines, text, header, number, len(letters))
        yield SequenceRecord(header, letters)


def _fastq_letters(lines: _Lines, text: _Text, header: str, first: int) -> str:
    """Read the letters of a record up to its '+' line, which may repeat the header or name."""
    parts: list[str] = []
    for number, line in lines:
        if line.startswith("+"):
            if line[1:].strip() not in ("", header, name_of(header)):
                raise text.error(number, f"{line[:40]!r} is not the '+' line of {header[:40]!r}")
            return "".join(parts)
        if line.startswith("@"):
            raise text.error(number, f"the record of line {first:,} has no '+' line before it")
        if line:
            parts.append(text.letters(line, number))
    raise text.error(
        first, f"the record {name_of(header)!r} has no '+' line; the file is truncated"
    )


def _check_qualities(lines: _Lines, text: _Text, header: str, first: int, n_letters: int) -> None:
    """Read the qualities of a record, and check that there is one for each letter."""
    n_found, number = 0, first
    while n_found < n_letters:
        number, line = next(lines, (0, ""))
        if not number:
            break
        quality = line.rstrip(" \t")
        if found := _NO_QUALITY.search(quality):
            raise text.error(number, f"{found[0]!r} is not a quality; expected characters ! to ~")
        n_found += len(quality)
    if n_found != n_letters:
        raise text.error(
            number or first,
            f"{n_found:,} qualities for the {n_letters:,} letters of {name_of(header)!r} (line "
            f"{first:,}); the file is truncated or damaged",
        )


class SequenceFile:
    """The sequences of a file by number, meant to be read in order.

    A first pass reads names and lengths. A request for an earlier sequence than the last one
    reads the file again from the start.

    Parameters
    ----------
    path
        FASTA or FASTQ, plain or compressed by gzip or bgzip.

    Attributes
    ----------
    names
        Name of each sequence, in the order of the file.
    lengths
        Number of letters of each sequence.

    Raises
    ------
    InputError
        If the file is missing, of another format, truncated or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names: list[str] = []
        self.lengths: list[int] = []
        for record in read_sequences(path):
            self.names.append(record.name)
            self.lengths.append(len(record.letters))
        self._restart()

    def _restart(self) -> None:
        self._records = enumerate(read_sequences(self._path, tell=False))
        self._next = 0

    def letters(self, number: int) -> str:
        """Return the letters of a sequence by its number, counted from 0.

        Raises
        ------
        InputError
            If the file has changed since the first pass.
        """
        if number < self._next:
            self._restart()
        for found, record in self._records:
            self._next = found + 1
            if found == number:
                if (record.name, len(record.letters)) != (self.names[number], self.lengths[number]):
                    break
                return record.letters
        raise InputError(f"{self._path} was changed while it was read; run the command again")
