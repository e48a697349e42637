"""A value for each base, as bedGraph or bigWig."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from math import isfinite, nan
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.io.bed import is_record
from megabase.io.compression import open_text
from megabase.run.output import whole_path

BEDGRAPH = (".bedgraph", ".bg")
BIGWIG = (".bw", ".bigwig")
"""How the names of such files end."""

_AT_ONCE = 1 << 16  # bases whose places are listed: a list takes 40 bytes for each


def write_bedgraph(file: IO[str], interval: Interval, values: Float[np.ndarray, " length"]) -> None:
    """Write one line per base, 0-based and half-open; a base whose value is NaN is left out.

    Parameters
    ----------
    file
        An open text file.
    interval
        Where the values lie.
    values
        One per base, in the order of the forward strand.
    """
    for contig, start, end, value in _rows(interval, values):
        file.write(f"{contig}\t{start}\t{end}\t{value:.6g}\n")


def _rows(
    interval: Interval, values: Float[np.ndarray, " length"]
) -> Iterator[tuple[str, int, int, float]]:
    """Give contig, start, end and value of each base that has one; few are held at a time."""
    for first in range(0, len(values), _AT_ONCE):
        some = values[first : first + _AT_ONCE]
        for offset in np.flatnonzero(~np.isnan(some)).tolist():
            position = interval.start + first + offset
            yield interval.contig, position, position + 1, float(some[offset])


def check_bigwig() -> None:
    """Raise an InputError unless there is pybigtools; ask before long work that needs it."""
    if find_spec("pybigtools") is None:
        raise InputError(
            "bigWig needs pybigtools: pip install 'megabase[bigwig]'; or take .bedgraph"
        )


def write_bigwig(
    path: Path,
    lengths: Mapping[str, int],
    tracks: Iterable[tuple[Interval, Float[np.ndarray, " length"]]],
) -> None:
    """Write one value per base; a base whose value is NaN is left out.

    Parameters
    ----------
    path
        A new file, with one of the suffixes of `BIGWIG`.
    lengths
        Of all contigs of the genome, in base pairs.
    tracks
        Intervals, sorted within each contig, each with its values.

    Raises
    ------
    WorkError
        If it cannot be written, or no base has a value.
    """
    import pybigtools  # noqa: PLC0415 an extra, imported at its door

    rows = _Rows(tracks)
    with whole_path(path, suffix=BIGWIG[0]) as part:  # the library knows no capital suffix
        try:
            pybigtools.open(str(part), "w").write(dict(lengths), iter(rows))
        except Exception as error:
            raise WorkError(f"the bigWig could not be written: {error}") from error
        if not rows.is_exhausted:  # the library only prints what fails within
            raise WorkError("the bigWig could not be written: its values broke off")
        if rows.is_empty:  # what the library writes then cannot be read
            raise WorkError("no base has a value, and a bigWig cannot be empty; write .bedgraph")


class _Rows:
    """The values as bigWig takes them, whether all were asked for, and whether there was none."""

    def __init__(self, tracks: Iterable[tuple[Interval, np.ndarray]]) -> None:
        self._tracks = tracks
        self.is_exhausted = False
        self.is_empty = True

    def __iter__(self) -> Iterator[tuple[str, int, int, float]]:
        for interval, values in self._tracks:
            for row in _rows(interval, values):
                self.is_empty = False
                yield row
        self.is_exhausted = True


class Entry(NamedTuple):
    """The value of the bases of a place."""

    contig: str
    start: int
    end: int
    value: float


def read_bedgraph(path: Path) -> Iterator[Entry]:
    """Give each line: 0-based and half-open, as bedGraph defines.

    Raises
    ------
    InputError
        At the first line that is no place with a finite number, with its number.
    """
    if not path.is_file():
        raise InputError(f"there is no bedGraph file {path}")
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if is_record(line):
                yield _entry(line.split(), f"{path}, line {number}")


class BigWig:
    """A bigWig file whose values are asked for by place.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    lengths
        Of the contigs that it names, in base pairs.

    Raises
    ------
    InputError
        If it cannot be read, or pybigtools is not there.
    """

    def __init__(self, path: Path) -> None:
        check_bigwig()
        import pybigtools  # noqa: PLC0415 an extra, imported at its door

        if not path.is_file():
            raise InputError(f"there is no bigWig file {path}")
        self._path = path
        with _damage_named(path, "is no bigWig that can be read"):
            self._file = pybigtools.open(str(path))
            self.lengths: Mapping[str, int] = self._file.chroms()

    def entries(self, interval: Interval) -> Iterator[Entry]:
        """Yield the places in an interval that have a value, in order and cut to it.

        Raises
        ------
        InputError
            If the file is damaged: what it holds cannot be read, or is not in the interval.
        """
        length = self.lengths.get(interval.contig, 0)
        if interval.start >= length:
            return
        end = min(interval.end, length)
        last = interval.start
        for start, stop, value in self._records(interval.contig, interval.start, end):
            if not last <= start < stop <= end:
                raise InputError(
                    f"{self._path} is damaged: asked for {interval}, it gave [{start:,}, "
                    f"{stop:,}), which lies beyond or over what came before; copy it again"
                )
            last = stop
            yield _entry([interval.contig, start, stop, value], str(self._path))

    def _records(self, contig: str, start: int, end: int) -> Iterator[tuple[int, int, float]]:
        with _damage_named(self._path, f"cannot be read at {contig}:[{start:,}, {end:,})"):
            yield from self._file.records(contig, start, end)


@contextmanager
def _damage_named(path: Path, what: str) -> Generator[None]:
    """Turn what the library raises, also its panics, which are no Exception, into an InputError."""
    try:
        yield
    except (GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise InputError(f"{path} {what}: {error}; copy it again") from error


def _entry(fields: Sequence[Any], place: str) -> Entry:
    try:
        contig, start, end, value = fields[0], int(fields[1]), int(fields[2]), float(fields[3])
    except (IndexError, ValueError):
        contig, start, end, value = "", 0, 0, nan
    if len(fields) != 4 or not 0 <= start < end or not isfinite(value):
        raise InputError(
            f"{place}: expected contig, start, end with start < end, and a finite number; got "
            f"{' '.join(map(str, fields))!r}"
        )
    return Entry(contig, start, end, value)
