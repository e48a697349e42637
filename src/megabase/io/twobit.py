"""Letters by Interval from 2bit, the format of the shipped genome.

A file is a header, an index of (name, offset), and per contig: its length, the runs
of N, the runs of lower case, and four bases a byte, T C A G = 0 1 2 3, first base high.

Source: "Twobit sequence archives", the .2bit section of the UCSC genome browser's
page of file formats (version 0, 32-bit offsets).
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_inside, on_strand

_SIGNATURE = 0x1A412743
_LETTERS = np.frombuffer(b"TCAG", dtype=np.uint8)
_CODE = {letter: code for code, letter in enumerate(b"TCAG")}
_LOWER = 0x20  # the bit that makes an ASCII letter lower case


class _Contig(NamedTuple):
    """Where a contig's bases lie in the file, and its runs as (start, length) rows."""

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
        If it is not there, is no 2bit file, is cut short, or holds no base.
    """

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        if not path.is_file():
            raise InputError(f"there is no genome file {path}; give the path of a 2bit file")
        try:
            self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
            self._contigs = _read_contigs(self._bytes)
            self._lengths = {name: contig.length for name, contig in self._contigs.items()}
        except (IndexError, ValueError) as error:
            raise InputError(f"{path} is no whole 2bit file ({error}); make it again") from error
        if not any(self._lengths.values()):
            raise InputError(f"{path} holds no base; choose another genome")

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
        contig = self._contigs[interval.contig]
        letters = _unpack(self._bytes, contig.offset, interval.start, interval.end)
        for start, length in _runs_in(contig.unknown, interval):
            letters[start : start + length] = ord("N")
        for start, length in _runs_in(contig.lower, interval):
            letters[start : start + length] |= _LOWER
        return on_strand(letters.tobytes().decode("ascii"), interval)


def write_twobit(reference: Reference, path: Path) -> None:
    """Write every contig of a genome of A C G T N as 2bit.

    Raises
    ------
    InputError
        If a letter is none of these; 2bit has no others.
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


def _read_contigs(data: np.ndarray) -> dict[str, _Contig]:
    signature, version, n_contigs, _ = _words(data, 0, 4)
    if (signature, version) != (_SIGNATURE, 0):
        raise ValueError(f"signature {signature:#x}, version {version}")
    contigs: dict[str, _Contig] = {}
    at = 16
    for _ in range(n_contigs):
        size = int(data[at])
        name = data[at + 1 : at + 1 + size].tobytes().decode()
        (offset,) = _words(data, at + 1 + size, 1)
        contigs[name] = _read_contig(data, offset)
        at += 1 + size + 4
    return contigs


def _read_contig(data: np.ndarray, offset: int) -> _Contig:
    (length,) = _words(data, offset, 1)
    unknown, offset = _read_runs(data, offset + 4)
    lower, offset = _read_runs(data, offset)
    offset += 4  # a reserved word
    if offset + -(-length // 4) > len(data):
        raise ValueError("fewer bases than it declares")
    return _Contig(length, unknown, lower, offset)


def _read_runs(data: np.ndarray, offset: int) -> tuple[np.ndarray, int]:
    (n,) = _words(data, offset, 1)
    runs = np.array(_words(data, offset + 4, 2 * n), dtype=np.int64).reshape(2, n).T
    return runs, offset + 4 + 8 * n


def _words(data: np.ndarray, offset: int, n: int) -> list[int]:
    """Read `n` little-endian words of 32 bits."""
    text = data[offset : offset + 4 * n].tobytes()
    if len(text) < 4 * n:
        raise ValueError("it ends early")
    return np.frombuffer(text, dtype="<u4").tolist()


def _runs_in(runs: np.ndarray, interval: Interval) -> list[tuple[int, int]]:
    """Cut runs, which are in order, to an interval, as (start, length) counted from its start."""
    starts, ends = runs[:, 0], runs.sum(axis=1)
    first = np.searchsorted(ends, interval.start, side="right")
    last = np.searchsorted(starts, interval.end, side="left")
    clipped = (
        (max(s, interval.start), min(s + n, interval.end)) for s, n in runs[first:last].tolist()
    )
    return [(start - interval.start, end - start) for start, end in clipped]


def _unpack(data: np.ndarray, offset: int, start: int, end: int) -> UInt8[np.ndarray, " length"]:
    packed = np.asarray(data[offset + start // 4 : offset + -(-end // 4)])
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
        raise InputError(f"2bit knows only A C G T N; {contig!r} has another letter")
    fours = np.pad(found, (0, -len(found) % 4)).reshape(-1, 4)
    packed = fours @ np.array([64, 16, 4, 1], dtype=np.uint8)
    runs = _pack_runs(upper == ord("N")) + _pack_runs((text & _LOWER) != 0)
    return struct.pack("<I", len(text)) + runs + struct.pack("<I", 0) + packed.tobytes()


def _pack_runs(mask: np.ndarray) -> bytes:
    edges = np.flatnonzero(np.diff(np.pad(mask.astype(np.int8), 1)))
    starts, ends = edges[::2], edges[1::2]
    words = np.concatenate([[len(starts)], starts, ends - starts]).astype("<u4")
    return words.tobytes()
