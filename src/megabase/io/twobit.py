"""Read letters by interval from 2bit, the format of the shipped genome, and write 2bit.

A file has a header, an index of (name, offset), and for each contig its length, the runs of N,
the runs of lower case, and four bases per byte: T C A G = 0 1 2 3, the first base in the high
bits.

Words have 32 bits; the first word, the signature, shows their byte order. In version 1 the
offsets of the index have 64 bits.

Source: "Twobit sequence archives", the .2bit section of the UCSC genome browser's
page of file formats.
"""

import logging
import struct
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_inside, checked_on_strand

_log = logging.getLogger(__name__)

_SIGNATURE = 0x1A412743
_LETTERS = np.frombuffer(b"TCAG", dtype=np.uint8)
_CODE = {letter: code for code, letter in enumerate(b"TCAG")}
_LOWER = 0x20  # the bit that makes an ASCII letter lower case


class _Contig(NamedTuple):
    """The length and byte offset of a contig, and its runs as (start, length) rows."""

    length: int
    unknown: np.ndarray
    lower: np.ndarray
    offset: int


class TwoBitReference:
    """A 2bit file as a Reference, memory-mapped.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        If the file is missing, not 2bit, truncated or damaged, or contains no base.
    """

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        if not path.is_file():
            raise InputError(f"there is no genome file {path}; give the path of a 2bit file")
        try:
            self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
            file = _Layout(self._bytes)
            self._contigs = file.contigs()
            n_unused = file.n_unused()
        except ValueError as error:
            raise InputError(
                f"{path} is not a complete 2bit file: {error}; copy it again, or rewrite it with "
                "faToTwoBit"
            ) from error
        self._lengths = {name: contig.length for name, contig in self._contigs.items()}
        if not any(self._lengths.values()):
            raise InputError(f"{path} holds no bases; choose another genome")
        if n_unused:
            _log.warning("%s: %s bytes belong to no contig; it may be damaged", path, n_unused)

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
        contig = self._contigs[interval.contig]
        letters = _unpack(self._bytes, contig.offset, interval.start, interval.end)
        for start, length in _runs_in(contig.unknown, interval):
            letters[start : start + length] = ord("N")
        for start, length in _runs_in(contig.lower, interval):
            letters[start : start + length] |= _LOWER
        return checked_on_strand(letters.tobytes().decode("ascii"), interval, self._name)


def write_twobit(reference: Reference, path: Path) -> None:
    """Write every contig of a genome of A C G T N as 2bit.

    Raises
    ------
    InputError
        If a letter is not one of A C G T N.
    """
    names = [name.encode() for name in reference.lengths]
    records = [
        _pack(reference.fetch(Interval(contig, 0, length)) if length else "", contig)
        for contig, length in reference.lengths.items()
    ]
    offset = 16 + sum(1 + len(name) + 4 for name in names)
    with path.open("wb") as file:
        file.write(struct.pack("<4I", _SIGNATURE, 0, len(names), 0))
        for name, record in zip(names, records, strict=True):
            file.write(struct.pack("<B", len(name)) + name + struct.pack("<I", offset))
            offset += len(record)
        file.writelines(records)


class _Layout:
    """The layout of a 2bit file; every offset is checked before it is used.

    Parameters
    ----------
    data
        The bytes of the file.

    Raises
    ------
    ValueError
        If the header is not that of a 2bit file.
    """

    def __init__(self, data: np.ndarray) -> None:
        self._data = data
        self._order = "<" if data[:4].tobytes() == struct.pack("<I", _SIGNATURE) else ">"
        signature, version, self._n_contigs, _ = self._words(0, 4).tolist()
        if signature != _SIGNATURE or version not in (0, 1):
            raise ValueError(f"invalid signature {signature:#x} or version {version}")
        self._word_of_offset = "u8" if version else "u4"
        self._extents: list[tuple[int, int, str]] = []  # start, end (exclusive), description

    def contigs(self) -> dict[str, _Contig]:
        """Read the index, and the layout of each contig.

        Raises
        ------
        ValueError
            If contigs overlap or extend beyond the file, or runs are not in order.
        """
        found: dict[str, _Contig] = {}
        at = 16
        for _ in range(self._n_contigs):
            (size,) = self._words(at, 1, "u1").tolist()
            name = self._words(at + 1, size, "u1").tobytes().decode()
            (offset,) = self._words(at + 1 + size, 1, self._word_of_offset).tolist()
            at += 1 + size + np.dtype(self._word_of_offset).itemsize
            if not name or name in found:
                raise ValueError(f"its index has a contig {name!r}" + " twice" * bool(name))
            found[name] = self._contig(name, offset)
        self._extents.append((0, at, "its index"))
        self._check_apart()
        return found

    def n_unused(self) -> int:
        """Count the bytes that belong neither to the index nor to a contig."""
        return len(self._data) - sum(end - start for start, end, _ in self._extents)

    def _check_apart(self) -> None:
        self._extents.sort()
        for (_, end, before), (start, _, after) in pairwise(self._extents):
            if start < end:
                raise ValueError(f"{after} overlaps {before}")

    def _contig(self, name: str, start: int) -> _Contig:
        (length,) = self._words(start, 1).tolist()
        unknown, at = self._runs(start + 4, length, f"the N of contig {name!r}")
        lower, at = self._runs(at, length, f"the lower case of contig {name!r}")
        (reserved,) = self._words(at, 1).tolist()
        end = at + 4 + -(-length // 4)
        if reserved:
            raise ValueError(f"the reserved word of contig {name!r} is {reserved}, expected 0")
        if end > len(self._data):
            raise ValueError(
                f"contig {name!r} of {length:,} bp ends at byte {end:,}, but the file has "
                f"{len(self._data):,} bytes"
            )
        self._extents.append((start, end, f"contig {name!r}"))
        return _Contig(length, unknown, lower, at + 4)

    def _runs(self, at: int, length: int, what: str) -> tuple[np.ndarray, int]:
        """Read runs as (start, length) rows, and return them with the offset after them.

        The file holds all starts before all lengths. Runs must be in order and within the contig.
        """
        (n,) = self._words(at, 1).tolist()
        runs = self._words(at + 4, 2 * n).astype(np.int64).reshape(2, n).T
        ends = runs.sum(axis=1)
        if (runs[1:, 0] < ends[:-1]).any() or (n and ends[-1] > length):
            raise ValueError(f"runs of {what} are not in order, or exceed its {length:,} bp")
        return runs, at + 4 + 8 * n

    def _words(self, at: int, n: int, kind: str = "u4") -> np.ndarray:
        """Return `n` words of a NumPy type from byte `at` on."""
        word = np.dtype(self._order + kind)
        end = at + n * word.itemsize
        if end > len(self._data):
            raise ValueError(
                f"it is truncated at byte {len(self._data):,}; expected at least {end:,}"
            )
        return np.frombuffer(self._data[at:end].tobytes(), dtype=word)


def _runs_in(runs: np.ndarray, interval: Interval) -> list[tuple[int, int]]:
    """Return sorted runs clipped to an interval, as (start, length) relative to its start."""
    starts, ends = runs[:, 0], runs.sum(axis=1)
    first = np.searchsorted(ends, interval.start, side="right")
    last = np.searchsorted(starts, interval.end, side="left")
    clipped = (
        (max(s, interval.start), min(s + n, interval.end)) for s, n in runs[first:last].tolist()
    )
    return [(start - interval.start, end - start) for start, end in clipped]


def _unpack(data: np.ndarray, offset: int, start: int, end: int) -> UInt8[np.ndarray, " length"]:
    packed = np.asarray(data[offset + start // 4 : offset + -(-end // 4)])
    # four bases per byte, the first in the two highest bits; start % 4 drops bases before `start`
    codes = (packed[:, None] >> np.array([6, 4, 2, 0], dtype=np.uint8)) & 3
    return _LETTERS[codes.reshape(-1)[start % 4 :][: end - start]]


def _pack(letters: str, contig: str) -> bytes:
    text = np.frombuffer(letters.encode("ascii"), dtype=np.uint8)
    upper = text & ~np.uint8(_LOWER)
    codes = np.full(256, 255, dtype=np.uint8)
    codes[list(_CODE)] = list(_CODE.values())
    codes[ord("N")] = _CODE[ord("T")]
    found = codes[upper]
    if found.size and found.max() == 255:
        raise InputError(f"2bit can store only A C G T N; {contig!r} has another letter")
    fours = np.pad(found, (0, -len(found) % 4)).reshape(-1, 4)
    packed = fours @ np.array([64, 16, 4, 1], dtype=np.uint8)
    runs = _pack_runs(upper == ord("N")) + _pack_runs((text & _LOWER) != 0)
    return struct.pack("<I", len(text)) + runs + struct.pack("<I", 0) + packed.tobytes()


def _pack_runs(mask: np.ndarray) -> bytes:
    edges = np.flatnonzero(np.diff(np.pad(mask.astype(np.int8), 1)))
    starts, ends = edges[::2], edges[1::2]
    words = np.concatenate([[len(starts)], starts, ends - starts]).astype("<u4")
    return words.tobytes()
