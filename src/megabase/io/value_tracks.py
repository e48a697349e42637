"""Read and write tracks, values for each base, as bedGraph or bigWig."""

import os
import re
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite, nan
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.io.annotation import record_lines, whole_number
from megabase.io.derived_files import temporary_path

BEDGRAPH = (".bedgraph", ".bg")
BIGWIG = (".bw", ".bigwig")
"""The suffixes of each format."""

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
_AT_ONCE = 1 << 16  # bases listed at once: a list takes 40 bytes for each


def write_bedgraph(file: IO[str], interval: Interval, values: Float[np.ndarray, " length"]) -> None:
    """Write one line per base, 0-based and half-open; a base whose value is NaN is left out.

    Parameters
    ----------
    file
        An open text file.
    interval
        The interval of the values.
    values
        One value per base, in the order of the forward strand.
    """
    for contig, start, end, value in _rows(interval, values):
        file.write(f"{contig}\t{start}\t{end}\t{value:.6g}\n")


def _rows(
    interval: Interval, values: Float[np.ndarray, " length"]
) -> Iterator[tuple[str, int, int, float]]:
    """Yield contig, start, end and value of each base with a value, with bounded memory."""
    for first in range(0, len(values), _AT_ONCE):
        some = values[first : first + _AT_ONCE]
        for offset in np.flatnonzero(~np.isnan(some)).tolist():
            position = interval.start + first + offset
            yield interval.contig, position, position + 1, float(some[offset])


def check_bigwig(path: Path) -> None:
    """Raise an InputError unless bigWig can be read and written; call this before long work.

    Parameters
    ----------
    path
        The file; pybigtools needs a path that is valid UTF-8.
    """
    if find_spec("pybigtools") is None:
        raise InputError(
            "bigWig needs pybigtools: pip install 'megabase[bigwig]'; or use .bedgraph"
        )
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: bigWig needs a path that is valid UTF-8; use another folder, a relative "
            "path, or .bedgraph"
        ) from error


def write_bigwig(
    path: Path,
    lengths: Mapping[str, int],
    tracks: Iterable[tuple[Interval, Float[np.ndarray, " length"]]],
) -> None:
    """Write one value per base; a base whose value is NaN is left out.

    Parameters
    ----------
    path
        The file to write, with one of the suffixes of `BIGWIG`.
    lengths
        Length of each contig of the genome in bp.
    tracks
        Intervals, sorted within each contig, with one value per base.

    Raises
    ------
    WorkError
        If the file cannot be written, or no base has a value.
    """
    part = temporary_path(path, BIGWIG[0])  # the library rejects capital suffixes
    try:
        _write_rows(part, lengths, _TrackRows(tracks))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_rows(path: Path, lengths: Mapping[str, int], rows: "_TrackRows") -> None:
    """Write rows with the library, and check that all are in the file."""
    import pybigtools  # noqa: PLC0415 optional dependency

    with _library(WorkError, "the bigWig could not be written") as printed:
        pybigtools.open(str(path), "w").write(dict(lengths), iter(rows))
    if failure := _SYSTEM_ERROR.search(printed.text):  # it is printed instead of raised
        raise WorkError(
            f"the bigWig could not be written: {os.strerror(int(failure[1]))}; free some "
            "space, or choose another disk"
        )
    if not rows.is_exhausted:
        raise WorkError("the bigWig could not be written: the library stopped reading values")
    if not rows.digests:  # the library would write an unreadable file
        raise WorkError("no base has a value, and a bigWig cannot be empty; write .bedgraph")
    if not _is_whole(path, rows.digests):
        raise WorkError("the bigWig could not be written completely: the disk may be full")


class _TrackRows:
    """The values for the bigWig writer, and a digest of each interval that it has read."""

    def __init__(self, tracks: Iterable[tuple[Interval, np.ndarray]]) -> None:
        self._tracks = tracks
        self.is_exhausted = False
        self.digests: dict[Interval, int] = {}

    def __iter__(self) -> Iterator[tuple[str, int, int, float]]:
        for interval, values in self._tracks:
            for first in range(0, len(values), _AT_ONCE):
                some = np.asarray(values[first : first + _AT_ONCE], dtype=np.float32)
                start = interval.start + first
                part = Interval(interval.contig, start, start + len(some))
                if not np.isnan(some).all():
                    self.digests[part] = _digest(some)
                    yield from _rows(part, some)
        self.is_exhausted = True


def _digest(values: Float32[np.ndarray, " length"]) -> int:
    """Compute a checksum that does not distinguish the bit patterns of NaN."""
    return zlib.crc32(np.where(np.isnan(values), np.float32(nan), values).tobytes())


def _is_whole(path: Path, digests: Mapping[Interval, int]) -> bool:
    """Return whether a bigWig has its end marker, and every value reads as it was written."""
    with path.open("rb") as file:
        first = file.read(4)
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        if file.read() != first:  # the format begins and ends with the same four bytes
            return False
    try:
        track = BigWig(path)
        return all(_digest(track.values(place)) == digest for place, digest in digests.items())
    except InputError:
        return False


@dataclass
class _Printed:
    """The text that a library printed, available after its block."""

    text: str = ""


@contextmanager
def _library(kind: type[InputError] | type[WorkError], what: str) -> Generator[_Printed]:
    """Convert errors of pybigtools, including panics, to our errors, and capture its output.

    Parameters
    ----------
    kind
        Class of the error.
    what
        Beginning of its message.
    """
    printed = _Printed()
    streams = {1: sys.stdout, 2: sys.stderr}  # it prints to the file descriptors directly
    for stream in streams.values():
        stream.flush()
    kept = {number: os.dup(number) for number in streams}
    with TemporaryFile() as file:
        for number in kept:
            os.dup2(file.fileno(), number)
        try:
            yield printed
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise kind(f"{what}: {error}") from error
        finally:
            for number, copy in kept.items():
                streams[number].flush()
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            printed.text = file.read().decode(errors="replace")


class Entry(NamedTuple):
    """A value of the bases ``[start, end)`` of a contig, 0-based."""

    contig: str
    start: int
    end: int
    value: float


def read_bedgraph(path: Path) -> Iterator[Entry]:
    """Yield the entry of each line; coordinates are 0-based and half-open, as bedGraph defines.

    Raises
    ------
    InputError
        If the file is missing, or a line is not an interval with a finite value; the message has
        the number of the first such line.
    """
    if not path.is_file():
        raise InputError(f"there is no bedGraph file {path}")
    for line, place in record_lines(path):
        yield _entry(line.split(), place)


class BigWig:
    """A bigWig file with access by interval.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    lengths
        Length in bp of each contig that it lists.

    Raises
    ------
    InputError
        If the file is missing or cannot be read, or pybigtools is not installed.
    """

    def __init__(self, path: Path) -> None:
        check_bigwig(path)
        import pybigtools  # noqa: PLC0415 optional dependency

        if not path.is_file():
            raise InputError(f"there is no bigWig file {path}")
        self._path = path
        with _library(InputError, f"{path} is not a readable bigWig file"):
            self._file = pybigtools.open(str(path))
            self.lengths: Mapping[str, int] = self._file.chroms()

    def entries(self, interval: Interval) -> Iterator[Entry]:
        """Yield the entries that overlap an interval, in order and clipped to it.

        Raises
        ------
        InputError
            If the file is damaged: entries cannot be read, overlap, or lie outside the interval.
        """
        length = self.lengths.get(interval.contig, 0)
        if interval.start >= length:
            return
        last = interval.start
        inside = Interval(interval.contig, interval.start, min(interval.end, length))
        for part in inside.windows(_AT_ONCE):
            with _library(InputError, f"{self._path} is damaged in {part}; copy it again"):
                found = list(self._file.records(part.contig, part.start, part.end))
            for start, stop, value in found:
                if not max(last, part.start) <= start < stop <= part.end:
                    raise InputError(
                        f"{self._path} is damaged: requested {part}, got [{start:,}, {stop:,}), "
                        "which lies outside or overlaps the previous entry; copy it again"
                    )
                last = stop
                yield _entry([part.contig, start, stop, value], str(self._path))

    def values(self, interval: Interval) -> Float32[np.ndarray, " length"]:
        """Return the value of each base of an interval; NaN for a base without a value."""
        values = np.full(len(interval), nan, dtype=np.float32)
        for entry in self.entries(interval):
            values[entry.start - interval.start : entry.end - interval.start] = entry.value
        return values


def _entry(fields: Sequence[Any], place: str) -> Entry:
    try:
        contig, start, end = fields[0], whole_number(str(fields[1])), whole_number(str(fields[2]))
        value = float(fields[3])
    except (IndexError, ValueError):
        contig, start, end, value = "", 0, 0, nan
    if len(fields) != 4 or not 0 <= start < end or not isfinite(value):
        raise InputError(
            f"{place}: expected contig, start, end with start < end, and a finite number; got "
            f"{' '.join(map(str, fields))!r}"
        )
    return Entry(contig, start, end, value)
