"""Letters by Interval from FASTA: plain, gzip, bgzip, indexed; and letters to FASTA."""

import gzip
import hashlib
import json
import logging
import os
import shutil
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import IO, NamedTuple
from uuid import uuid4

import pysam

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import check_inside, on_strand
from megabase.io.compression import check_bgzip_is_whole, compression, open_text

_log = logging.getLogger(__name__)


SUFFIXES = (".fa", ".fasta", ".fna")
"""What the name of a FASTA file ends with, before ``.gz``."""

_LINE = 60  # letters


def is_fasta(path: Path) -> bool:
    """Whether a file is FASTA by its name."""
    return path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def write_fasta(file: IO[str], header: str, letters: str) -> None:
    """Write one sequence, in lines of 60 letters.

    Parameters
    ----------
    file
        An open text file.
    header
        What follows the '>': the name, and after a space whatever is to be said.
    letters
        The sequence.
    """
    lines = (letters[start : start + _LINE] for start in range(0, len(letters), _LINE))
    file.write("\n".join([f">{header}", *lines]) + "\n")


class FastaEntry(NamedTuple):
    """One sequence: the whole line after '>', and the letters."""

    header: str
    letters: str


def read_fasta(path: Path) -> Iterator[FastaEntry]:
    """Give the sequences of a FASTA file one after another, without an index.

    Parameters
    ----------
    path
        FASTA, plain or compressed by gzip or bgzip.

    Raises
    ------
    InputError
        If there is no such file, it is cut short, or does not begin with '>'.
    """
    header: str | None = None
    lines: list[str] = []
    with open_text(path) as file:
        for line in filter(None, map(str.strip, file)):
            if line.startswith(">"):
                if header is not None:
                    yield FastaEntry(header, "".join(lines))
                header, lines = line[1:].strip(), []
            elif header is None:
                raise InputError(f"{path} is no FASTA file: it begins with {line[:20]!r}, not '>'")
            else:
                lines.append(line)
    if header is not None:
        yield FastaEntry(header, "".join(lines))


class FastaReference:
    """A FASTA file as a Reference, through its .fai index.

    The index is made anew for each state of the file: beside it, or in `cache` where that
    folder is read-only.
    A file in plain gzip, which has no random access, is unpacked into `cache` once.

    Parameters
    ----------
    path
        FASTA, plain or compressed by gzip or bgzip.
    cache
        Folder for what cannot be written beside the file.

    Raises
    ------
    InputError
        If there is no such file, no sequence in it, a contig name twice, or the file is cut short.
    """

    def __init__(self, path: Path, *, cache: Path) -> None:
        self._name = str(path)
        _check_readable(path)
        kind = compression(path)
        if kind == "bgzip":
            check_bgzip_is_whole(path, name=self._name)
        indexed = _unpacked(path, cache) if kind == "gzip" else path
        index = _find_index(indexed, cache, self._name)
        blocks = str(index.path.with_suffix(".gzi")) if kind == "bgzip" else None
        self._file = pysam.FastaFile(
            str(indexed), filepath_index=str(index.path), filepath_index_compressed=blocks
        )
        self._lengths = dict(zip(self._file.references, self._file.lengths, strict=True))
        if index.n_empty:
            _log.warning("%d contigs of %s have no letters", index.n_empty, path)

    @property
    def name(self) -> str:
        """The path as it was given."""
        return self._name

    @property
    def lengths(self) -> Mapping[str, int]:
        """The length of each contig in base pairs, in the order of the file."""
        return self._lengths

    def fetch(self, interval: Interval) -> str:
        """Give the letters of `interval`, as `Reference.fetch`."""
        check_inside(interval, self._lengths, self._name)
        letters: str = self._file.fetch(interval.contig, interval.start, interval.end)
        return on_strand(letters, interval)


def _check_readable(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"there is no genome file {path}; give the path of a FASTA or 2bit file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; a FASTA file starts with a line '>name'")


def _unpacked(path: Path, cache: Path) -> Path:
    """Unpack a gzip file into the cache, once for each state of the file."""
    target = cache / "fasta" / f"{_state_key(path)}-{path.name.removesuffix('.gz')}"
    if target.exists():
        return target
    _log.info("%s is plain gzip: unpacking it once to %s", path, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(target)
    try:
        with gzip.open(path) as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file, length=1 << 20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        part.unlink()
        raise InputError(f"{path} is cut short or damaged ({error}); copy it again") from error
    part.replace(target)
    return target


def _part(target: Path) -> Path:
    """Name a temporary file beside `target`, of which no other process has the name."""
    return target.with_name(f".{target.name}.{uuid4().hex[:12]}.part")


def _state_key(path: Path) -> str:
    """Name a file in the state that it is in: by place, size and time of change."""
    stat = path.stat()
    state = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    return hashlib.sha256(state.encode()).hexdigest()[:16]


class _Index(NamedTuple):
    """Where the index of a file is, and how many contigs without letters it passes over."""

    path: Path
    n_empty: int


def _find_index(path: Path, cache: Path, name: str) -> _Index:
    """Give the index that was made of the file as it is now; make it if there is none.

    What was made is noted in the cache under the state of the file: the time of an index
    beside a file does not tell that it is of that file.
    """
    note = cache / "fai" / f"{_state_key(path)}.json"
    if note.exists():
        place, n_empty, changed = json.loads(note.read_text(encoding="utf-8"))
        if Path(place).exists() and Path(place).stat().st_mtime_ns == changed:
            return _Index(Path(place), n_empty)
    index = _index_place(path, cache)
    _build_index(path, index, name)
    n_empty = _check_names(path, index, name)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps([str(index), n_empty, index.stat().st_mtime_ns]), encoding="utf-8")
    return _Index(index, n_empty)


def _index_place(path: Path, cache: Path) -> Path:
    """Beside the file if it can be written there, else in the cache."""
    beside = path.with_name(path.name + ".fai")
    if _is_writable(path.parent):
        return beside
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    place = cache / "fai" / f"{key}-{path.name}.fai"
    _log.info("the folder of %s is read-only: its index is %s", path, place)
    return place


def _is_writable(folder: Path) -> bool:
    """Whether the folder may be written to; its mode counts for root too, who may do anything."""
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)


def _build_index(path: Path, index: Path, name: str) -> None:
    index.parent.mkdir(parents=True, exist_ok=True)
    part = _part(index)
    part_of_blocks = part.with_suffix(".gzi")
    loudness = pysam.set_verbosity(0)  # our message in place of the library's
    try:
        pysam.faidx(  # pyright: ignore[reportAttributeAccessIssue] made at run time
            str(path), "--fai-idx", str(part), "--gzi-idx", str(part_of_blocks)
        )
    except pysam.SamtoolsError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"{name} holds no sequence that can be indexed: FASTA starts with a line '>name', "
            "letters follow, and all lines of a sequence but its last have one length; wrap it anew"
        ) from error
    finally:
        pysam.set_verbosity(loudness)
    if part_of_blocks.exists():
        part_of_blocks.replace(index.with_suffix(".gzi"))
    part.replace(index)


def _check_names(path: Path, index: Path, name: str) -> int:
    """Look for what an index passes over: names that stand twice, contigs without letters."""
    seen: set[bytes] = set()
    with _open_bytes(path) as file:
        for header in _headers(file):
            contig = (header[1:].split() or [b""])[0]
            if not contig.isascii():
                raise InputError(f"the contig name {contig!r} of {name} is not ASCII; rename it")
            if contig in seen:
                raise InputError(
                    f"contig {contig.decode()!r} stands twice in {name}; rename one of them"
                )
            seen.add(contig)
    return len(seen) - len(index.read_bytes().splitlines())


def _headers(file: BufferedIOBase) -> Iterator[bytes]:
    """Give each line that starts with '>', reading in large pieces."""
    rest = b"\n"
    while piece := file.read(1 << 22):
        text = rest + piece
        whole, newline, tail = text.rpartition(b"\n")
        for part in (whole + newline).split(b"\n>")[1:]:
            yield b">" + part.partition(b"\n")[0]
        rest = newline + tail
    for part in rest.split(b"\n>")[1:]:
        yield b">" + part


@contextmanager
def _open_bytes(path: Path) -> Generator[BufferedIOBase]:
    if compression(path) == "none":
        with path.open("rb") as file:
            yield file
    else:
        with gzip.open(path) as file:
            yield file
