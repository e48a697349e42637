"""Read labels of single bases of a genome: classes from BED, values from bedGraph or bigWig."""

import logging
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from megabase.data.labels import in_order
from megabase.errors import InputError, counted
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_contig, check_inside
from megabase.io.annotation import BedRecord, is_bed, read_bed
from megabase.io.compression import uncompressed_name
from megabase.io.value_tracks import BEDGRAPH, BIGWIG, BigWig, Entry, check_bigwig, read_bedgraph

OUTSIDE, INSIDE = "none", "in"
"""The class of a base outside all entries, and of a base inside an entry without a name."""

_log = logging.getLogger(__name__)


@runtime_checkable
class LabelTrack(Protocol):
    """Labels of bases, fetched by interval.

    Attributes
    ----------
    classes
        The name of each class; empty if labels are values.
    """

    classes: tuple[str, ...]

    def fetch(self, interval: Interval) -> Shaped[np.ndarray, " length"]:
        """Return the label of each base: its class number (int32), or its value (float32).

        A base without a value is NaN. A track has one label per position, whatever the strand;
        on strand '-' the labels come in reverse order, like the letters.
        """
        ...


def open_label_track(path: Path, reference: Reference) -> LabelTrack:
    """Open a file of labels; its format is recognised by the suffix.

    Entries on contigs that the genome lacks are skipped; the number of such contigs is logged.

    Parameters
    ----------
    path
        BED, bedGraph (either may be gzipped) or bigWig.
    reference
        The genome to which the labels belong.

    Raises
    ------
    InputError
        If the file has another format or cannot be read, no contig of it is in the genome, an
        entry ends beyond its contig, or entries with different labels overlap.
    """
    if is_bed(path):
        return _classes(path, reference)
    if uncompressed_name(path).lower().endswith(BEDGRAPH):
        return _IntervalLabels((), read_bedgraph(path), path, reference)
    if path.name.lower().endswith(BIGWIG):
        return _BigWigLabels(path, reference)
    raise InputError(
        f"{path}: expected labels of bases as BED (.bed), bedGraph ({', '.join(BEDGRAPH)}) or "
        f"bigWig ({', '.join(BIGWIG)})"
    )


def check_label_track(path: Path) -> None:
    """Raise an InputError if the extra that is needed to read the file is not installed."""
    if path.name.lower().endswith(BIGWIG):
        check_bigwig(path)


def _classes(path: Path, reference: Reference) -> "_IntervalLabels":
    """Read a BED file whose names of entries are classes."""
    records = read_bed(path)
    names = [_name(record) for record in records]
    if None in names and len(set(names)) > 1:
        where = records[names.index(None)].interval
        raise InputError(
            f"{path}: the entry {where} has no name, but others have one; name all entries or none"
        )
    texts = [name or INSIDE for name in names]
    classes = (OUTSIDE, *in_order([text for text in texts if text != OUTSIDE]))
    numbers = {text: number for number, text in enumerate(classes)}
    entries = (
        Entry(record.interval.contig, record.interval.start, record.interval.end, numbers[text])
        for record, text in zip(records, texts, strict=True)
    )
    return _IntervalLabels(classes, entries, path, reference)


def _name(record: BedRecord) -> str | None:
    place = record.interval
    is_none = record.name in (".", "", f"{place.contig}:{place.start}-{place.end}")
    return None if is_none else record.name


class _Places(NamedTuple):
    """Entries of a contig, sorted by start; each end is the largest of all ends up to it."""

    starts: Int64[np.ndarray, " run"]
    ends: Int64[np.ndarray, " run"]
    values: Float64[np.ndarray, " run"]


class _IntervalLabels:
    """Entries of a file, held in memory by contig."""

    def __init__(
        self, classes: tuple[str, ...], entries: Iterable[Entry], path: Path, reference: Reference
    ) -> None:
        self.classes = classes
        self._path = path
        # One flat array of start, end, value, start, ... per contig takes few bytes per entry.
        cells: dict[str, array[float]] = {}
        for contig, *place in entries:
            cells.setdefault(contig, array("d")).extend(place)
        tables = {contig: np.asarray(each).reshape(-1, 3) for contig, each in cells.items()}
        ends = {contig: int(table[:, 1].max()) for contig, table in tables.items()}
        _check_contigs(ends, path, reference)
        self._places = {contig: self._sorted(contig, table) for contig, table in tables.items()}

    def _sorted(self, contig: str, table: Float64[np.ndarray, "run 3"]) -> _Places:
        table = table[np.argsort(table[:, 0], kind="stable")]
        starts, values = table[:, 0].astype(np.int64), table[:, 2]
        so_far = np.maximum.accumulate(table[:, 1].astype(np.int64))
        # Comparing neighbours is enough: an entry that overlaps any earlier entry starts before
        # the largest end so far, and all overlapping entries up to it have the same value.
        differ = (starts[1:] < so_far[:-1]) & (values[1:] != values[:-1])
        if differ.any():
            place = int(differ.argmax())
            one, other = (self._text(values[place + step]) for step in (0, 1))
            raise InputError(
                f"{self._path}: entries of {one} and {other} overlap on {contig} at position "
                f"{starts[place + 1]:,} (0-based); a base can have only one label"
            )
        return _Places(starts, so_far, values)

    def _text(self, value: float) -> str:
        return repr(self.classes[int(value)]) if self.classes else f"{value:g}"

    def fetch(self, interval: Interval) -> Shaped[np.ndarray, " length"]:
        """Return the labels of an interval; see `LabelTrack.fetch`."""
        if self.classes:
            found = np.zeros(len(interval), dtype=np.int32)
        else:
            found = np.full(len(interval), np.nan, dtype=np.float32)
        if interval.contig in self._places:
            starts, ends, values = self._places[interval.contig]
            # Both arrays ascend: the first entry that may end after the start of the interval, and
            # the first that starts at or after its end.
            first = int(np.searchsorted(ends, interval.start, side="right"))
            last = int(np.searchsorted(starts, interval.end, side="left"))
            for run in range(first, last):
                start = max(0, int(starts[run]) - interval.start)
                found[start : int(ends[run]) - interval.start] = values[run]
        return found if interval.strand == "+" else found[::-1]


class _BigWigLabels:
    """Values of a bigWig file, read from disk when they are fetched."""

    classes: tuple[str, ...] = ()

    def __init__(self, path: Path, reference: Reference) -> None:
        self._file = BigWig(path)
        _check_contigs(self._file.lengths, path, reference)

    def fetch(self, interval: Interval) -> Float32[np.ndarray, " length"]:
        """Return the values of an interval; see `LabelTrack.fetch`."""
        found = np.full(len(interval), np.nan, dtype=np.float32)
        for _, start, end, value in self._file.entries(interval):
            found[start - interval.start : end - interval.start] = value
        return found if interval.strand == "+" else found[::-1]


def _check_contigs(ends: Mapping[str, int], path: Path, reference: Reference) -> None:
    """Raise an InputError if labels are of another assembly; log how many contigs are skipped."""
    known = [contig for contig in ends if contig in reference.lengths]
    if not ends:
        raise InputError(f"{path} holds no labels")
    if not known:
        check_contig(next(iter(ends)), reference.lengths, reference.name)
    for contig in known:
        check_inside(Interval(contig, 0, ends[contig]), reference.lengths, reference.name)
    if n_left := len(ends) - len(known):
        _log.info(
            "%s: skipped the labels on %s that the genome lacks",
            path,
            counted(n_left, "contig"),
        )
