"""The label of each base of a genome: classes from BED, values from bedGraph or bigWig."""

import logging
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from megabase.data.labels import in_order
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_contig, check_inside
from megabase.io.bed import BedRecord, is_bed, read_bed
from megabase.io.compression import uncompressed_name
from megabase.io.tracks import BEDGRAPH, BIGWIG, BigWig, Entry, check_bigwig, read_bedgraph
from megabase.run.log import counted

OUTSIDE, INSIDE = "none", "in"
"""The class of a base without an entry, and of one with an entry that has no name."""

_log = logging.getLogger(__name__)


@runtime_checkable
class LabelTrack(Protocol):
    """Labels that are asked for by place.

    Attributes
    ----------
    classes
        The name of each class; none if labels are values.
    """

    classes: tuple[str, ...]

    def fetch(self, interval: Interval) -> Shaped[np.ndarray, " length"]:
        """Give the number of the class of each base, int32, or its value, float32, or NaN.

        The labels are those of the forward strand; on strand '-' they come in its order, as
        the letters do.
        """
        ...


def open_label_track(path: Path, reference: Reference) -> LabelTrack:
    """Open labels by the suffix of their file.

    Entries on contigs that the genome lacks are passed over, which the log says.

    Parameters
    ----------
    path
        BED, bedGraph (either may be gzipped) or bigWig.
    reference
        The genome that they are of.

    Raises
    ------
    InputError
        If it is none of these or cannot be read, none of its contigs is in the genome or one
        is shorter there, or entries that differ overlap.
    """
    if is_bed(path):
        return _classes(path, reference)
    if uncompressed_name(path).lower().endswith(BEDGRAPH):
        return _Runs((), read_bedgraph(path), path, reference)
    if path.name.lower().endswith(BIGWIG):
        return _BigWigLabels(path, reference)
    raise InputError(
        f"{path}: labels of bases are BED (.bed), bedGraph ({', '.join(BEDGRAPH)}) or bigWig "
        f"({', '.join(BIGWIG)})"
    )


def check_label_track(path: Path) -> None:
    """Raise an InputError if an extra that its suffix asks for is not there."""
    if path.name.lower().endswith(BIGWIG):
        check_bigwig(path)


def _classes(path: Path, reference: Reference) -> "_Runs":
    """Read the classes of a BED file, the names of its entries."""
    records = read_bed(path)
    names = [_name(record) for record in records]
    if None in names and len(set(names)) > 1:
        where = records[names.index(None)].interval
        raise InputError(
            f"{path}: the entry {where} has no name, and others have one; name all or none"
        )
    texts = [name or INSIDE for name in names]
    classes = (OUTSIDE, *in_order([text for text in texts if text != OUTSIDE]))
    numbers = {text: number for number, text in enumerate(classes)}
    entries = (
        Entry(record.interval.contig, record.interval.start, record.interval.end, numbers[text])
        for record, text in zip(records, texts, strict=True)
    )
    return _Runs(classes, entries, path, reference)


def _name(record: BedRecord) -> str | None:
    place = record.interval
    is_none = record.name in (".", "", f"{place.contig}:{place.start}-{place.end}")
    return None if is_none else record.name


class _Places(NamedTuple):
    """Places of a contig, sorted by start; the end is the largest so far."""

    starts: Int64[np.ndarray, " run"]
    ends: Int64[np.ndarray, " run"]
    values: Float64[np.ndarray, " run"]


class _Runs:
    """Entries that are held in memory, by contig."""

    def __init__(
        self, classes: tuple[str, ...], entries: Iterable[Entry], path: Path, reference: Reference
    ) -> None:
        self.classes = classes
        self._path = path
        cells: dict[str, array[float]] = {}  # start, end, value, start, ...: few bytes an entry
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
        # one that overlaps any before it overlaps, or equals in value, the one just before it
        differ = (starts[1:] < so_far[:-1]) & (values[1:] != values[:-1])
        if differ.any():
            place = int(differ.argmax())
            one, other = (self._text(values[place + step]) for step in (0, 1))
            raise InputError(
                f"{self._path}: entries of {one} and {other} both hold {contig}, position "
                f"{starts[place + 1]:,} (counted from 0); a base has one label"
            )
        return _Places(starts, so_far, values)

    def _text(self, value: float) -> str:
        return repr(self.classes[int(value)]) if self.classes else f"{value:g}"

    def fetch(self, interval: Interval) -> Shaped[np.ndarray, " length"]:
        """Give labels, as `LabelTrack.fetch`."""
        if self.classes:
            found = np.zeros(len(interval), dtype=np.int32)
        else:
            found = np.full(len(interval), np.nan, dtype=np.float32)
        if interval.contig in self._places:
            starts, ends, values = self._places[interval.contig]
            first = int(np.searchsorted(ends, interval.start, side="right"))
            last = int(np.searchsorted(starts, interval.end, side="left"))
            for run in range(first, last):
                start = max(0, int(starts[run]) - interval.start)
                found[start : int(ends[run]) - interval.start] = values[run]
        return found if interval.strand == "+" else found[::-1]


class _BigWigLabels:
    """Values that are read from a bigWig as they are asked for."""

    classes: tuple[str, ...] = ()

    def __init__(self, path: Path, reference: Reference) -> None:
        self._file = BigWig(path)
        _check_contigs(self._file.lengths, path, reference)

    def fetch(self, interval: Interval) -> Float32[np.ndarray, " length"]:
        """Give values, as `LabelTrack.fetch`."""
        found = np.full(len(interval), np.nan, dtype=np.float32)
        for _, start, end, value in self._file.entries(interval):
            found[start - interval.start : end - interval.start] = value
        return found if interval.strand == "+" else found[::-1]


def _check_contigs(ends: Mapping[str, int], path: Path, reference: Reference) -> None:
    """Refuse labels of another assembly, and say how many contigs are passed over."""
    known = [contig for contig in ends if contig in reference.lengths]
    if not ends:
        raise InputError(f"{path} holds no label")
    if not known:
        check_contig(next(iter(ends)), reference.lengths, reference.name)
    for contig in known:
        check_inside(Interval(contig, 0, ends[contig]), reference.lengths, reference.name)
    if n_left := len(ends) - len(known):
        _log.info(
            "%s: labels on %s that the genome lacks are passed over",
            path,
            counted(n_left, "contig"),
        )
