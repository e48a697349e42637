"""BED to Intervals and back."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.io.compression import open_text

SUFFIXES = (".bed", ".bed.gz")
"""How the names of BED files end."""

_HEADERS = ("track", "browser")


class BedRecord(NamedTuple):
    """An interval, and its name: the fourth column, or the place itself."""

    interval: Interval
    name: str


def read_bed(path: Path) -> list[BedRecord]:
    """Read the contig, start, end, name and strand of each line.

    Columns are split at tabs, or at any blank where there is no tab. Coordinates are
    0-based and half-open, as BED defines; a strand other than "-" counts as "+".

    Raises
    ------
    InputError
        At the first line that is no interval, with its number.
    """
    if not path.is_file():
        raise InputError(f"there is no BED file {path}")
    with open_text(path) as file:
        lines = [(number, line) for number, line in enumerate(file, start=1)]
    records = [
        _read_line(line, f"{path}, line {number}") for number, line in lines if is_record(line)
    ]
    if not records:
        raise InputError(f"{path} holds no interval; a line is contig, start, end")
    return records


def is_record(line: str) -> bool:
    """Whether a line of a BED or bedGraph file is neither empty nor a comment or header."""
    fields = line.split()
    return bool(fields) and not line.startswith("#") and fields[0] not in _HEADERS


def _read_line(line: str, place: str) -> BedRecord:
    fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
    try:
        start, end = int(fields[1]), int(fields[2])
    except (IndexError, ValueError) as error:
        raise InputError(
            f"{place}: expected contig, start and end with whole numbers, got {line.strip()!r}"
        ) from error
    strand = "-" if len(fields) > 5 and fields[5] == "-" else "+"
    try:
        interval = Interval(fields[0], start, end, strand)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    name = fields[3] if len(fields) > 3 else f"{fields[0]}:{start}-{end}"
    return BedRecord(interval, name)


def write_bed(intervals: Iterable[Interval], path: Path) -> None:
    """Write contig, start and end of each interval."""
    lines = (f"{interval.contig}\t{interval.start}\t{interval.end}\n" for interval in intervals)
    path.write_text("".join(lines), encoding="utf-8")
