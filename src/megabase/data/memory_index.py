"""An index: genomes that were read once, in a file from which any number of memories begin.

The file has a first line with its format and the length of the header, a header in JSON, and the
arrays of a `MemoryBase`, each at a multiple of 64 bytes. It is mapped into memory, so that opening
it takes no time, and processes share it.

If a sequence that is scored is part of the index, its own occurrences must not count: otherwise a
reference genome as index would make every base of it, and no variant, look certain. `OwnPlaces`
finds them: a contig of the index is the scored contig if all its letters are the same.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, SplicedReference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.ops.memory import FRONT, UNKNOWN, Gaps, Letters, Memory, MemoryBase

_log = logging.getLogger(__name__)

_MAGIC = "megabase index"
_VERSION = 1
_FIRST_LINE = 64  # bytes
_ALIGNMENT = 64
_PIECE = 1 << 22  # letters that are read at once
MOST_LETTERS = (1 << 32) - 2
"""The most letters of an index, because positions have 32 bits."""

Fetch = Callable[[Interval], Letters]
"""Returns the numbers of the letters of an interval."""


class IndexedContig(NamedTuple):
    """A contig of an index: its genome and name, and where its letters are."""

    genome: str
    name: str
    start: int
    length: int
    sha256: str


def letters_in_index(stores: Iterable[TokenStore]) -> int:
    """Return the letters of an index of genomes, with `FRONT` unknown ones after each contig."""
    return sum(length + FRONT for store in stores for length in store.lengths.values())


def write_index(
    path: Path,
    stores: Sequence[TokenStore],
    memory: Memory,
    *,
    advance: Callable[[int], None],
) -> None:
    """Let a memory read genomes, and write it to a file.

    Parameters
    ----------
    path
        The file.
    stores
        The genomes.
    memory
        An empty memory of as many letters as `letters_in_index`; it must not be used afterwards.
    advance
        Called with the letters that were read.
    """
    contigs: list[IndexedContig] = []
    for store in stores:
        for whole in store.contigs():
            digest, start = hashlib.sha256(), len(memory)
            for piece in whole.windows(_PIECE) if len(whole) else []:
                letters = store.letters(piece)
                digest.update(letters.data)
                memory.remember(letters)
                advance(len(letters))
            memory.remember(np.full(FRONT, UNKNOWN, np.uint8))
            found = (store.name, whole.contig, start, len(whole), digest.hexdigest())
            contigs.append(IndexedContig(*found))
    base = memory.base()
    header = {
        "orders": base.orders,
        "pointer_orders": base.pointer_orders,
        "n_letters": base.n_letters,
        "count_bytes": base.count_bytes,
        "array_bytes": [array.nbytes for array in base.arrays],
        "contigs": [list(contig) for contig in contigs],
    }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(f"{_MAGIC} {_VERSION} {len(text)}".encode().ljust(_FIRST_LINE - 1) + b"\n")
        file.write(text)
        for array in base.arrays:
            file.write(bytes(-file.tell() % _ALIGNMENT))
            array.tofile(file)


class MemoryIndex:
    """The content of an index file, mapped into memory.

    Parameters
    ----------
    path
        A file that `write_index` wrote.

    Attributes
    ----------
    base
        What was read.
    contigs
        The contigs that were read.
    fingerprint
        SHA-256 of what was read and counted.

    Raises
    ------
    InputError
        If the file is missing, truncated or no index, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(f"there is no index {path}; `megabase index` writes one")
        if path.stat().st_size < _FIRST_LINE:
            raise InputError(f"{path} is not an index; `megabase index` writes one")
        mapped = np.memmap(path, np.uint8, "r")
        n_header = _header_bytes(path, bytes(mapped[:_FIRST_LINE]))
        try:
            header = json.loads(bytes(mapped[_FIRST_LINE : _FIRST_LINE + n_header]))
            sizes = [int(n) for n in header["array_bytes"]]
            self.contigs = tuple(IndexedContig(*contig) for contig in header["contigs"])
            n_letters, count_bytes = int(header["n_letters"]), tuple(header["count_bytes"])
            orders, seeds = tuple(header["orders"]), tuple(header["pointer_orders"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} has an invalid header, {error!r}; make it again") from error
        arrays: list[np.ndarray] = []
        at = _FIRST_LINE + n_header
        for size in sizes:
            at += -at % _ALIGNMENT
            arrays.append(np.asarray(mapped[at : at + size]))
            at += size
        if len(mapped) != at:
            raise InputError(
                f"{path} has {len(mapped):,} bytes, and its header describes {at:,}: it is "
                "truncated or damaged; make it again with `megabase index`"
            )
        self.base = MemoryBase(orders, seeds, n_letters, tuple(arrays), count_bytes)
        if not self.base.is_consistent():
            raise InputError(f"{path} has arrays of other sizes than its header; make it again")
        read = [_VERSION, orders, seeds, [contig[2:] for contig in self.contigs]]
        self.fingerprint = hashlib.sha256(json.dumps(read).encode()).hexdigest()

    def same(self, length: int, pieces: Callable[[], Iterable[Letters]]) -> list[IndexedContig]:
        """Return the contigs whose letters are exactly those of a sequence.

        Parameters
        ----------
        length
            Letters of the sequence.
        pieces
            Yields its letters; it is called only if a contig is as long.
        """
        alike = [contig for contig in self.contigs if contig.length == length]
        digest = hashlib.sha256()
        for letters in pieces() if alike else ():
            digest.update(np.ascontiguousarray(letters).data)
        return [contig for contig in alike if contig.sha256 == digest.hexdigest()]


def _header_bytes(path: Path, first_line: bytes) -> int:
    """Return the length of the header; raise an InputError if the file is of another kind."""
    words = first_line.decode("ascii", errors="replace").split()
    if words[:2] != _MAGIC.split() or len(words) != 4 or not words[3].isdecimal():
        raise InputError(f"{path} is not an index; `megabase index` writes one")
    if words[2] != str(_VERSION):
        raise InputError(
            f"{path} is an index of version {words[2]}, and this program reads {_VERSION}; make "
            "it again with `megabase index`"
        )
    return int(words[3])


class OwnPlaces:
    """Finds where the letters of an interval are in an index, so that they do not count.

    Parameters
    ----------
    index
        The index.
    lengths
        The length of each contig of the genome whose intervals are scored.
    fetch
        Returns the letters of an interval of strand "+".
    spliced
        The transcripts whose intervals are scored, if they are not those of the genome: all exons
        of a transcript are found, whatever part of it is scored.
    """

    def __init__(
        self,
        index: MemoryIndex,
        lengths: Mapping[str, int],
        fetch: Fetch,
        spliced: SplicedReference | None = None,
    ) -> None:
        self._index, self._lengths, self._fetch = index, lengths, fetch
        self._spliced = spliced
        self._starts: dict[str, list[int]] = {}

    @classmethod
    def of_reference(cls, index: MemoryIndex, reference: Reference) -> "OwnPlaces":
        """Return that of a genome, or of transcripts."""
        spliced = reference if isinstance(reference, SplicedReference) else None
        genome = reference if spliced is None else spliced.genome
        return cls(index, genome.lengths, partial(_letters_in, genome), spliced)

    @classmethod
    def of_store(cls, index: MemoryIndex, store: TokenStore) -> "OwnPlaces":
        """Return that of a genome as tokens."""
        return cls(index, store.lengths, store.letters)

    def __call__(self, interval: Interval) -> Gaps:
        """Return the parts of the index that are the interval, on either strand; often none."""
        places = [interval] if self._spliced is None else self._spliced.exons(interval.contig)
        found = [
            (start + place.start, start + place.end)
            for place in places
            for start in self._starts_of(place.contig)
        ]
        return _apart(found)

    def whole(self) -> Gaps:
        """Return the parts of the index that are a contig of the genome."""
        whole = (Interval(name, 0, length) for name, length in self._lengths.items() if length)
        return _apart([gap for interval in whole for gap in self(interval)])

    def _starts_of(self, contig: str) -> list[int]:
        """Return where the contig begins in the index, each time that it is there."""
        if contig not in self._starts:
            length = self._lengths[contig]
            pieces = Interval(contig, 0, length).windows(_PIECE)
            same = self._index.same(length, lambda: map(self._fetch, pieces))
            self._starts[contig] = [each.start for each in same]
            alike = [each for each in self._index.contigs if each.length == length]
            if any(each.name == contig for each in alike if each not in same):
                _log.info(
                    "the index has another %s of the same length, whose letters differ: they count",
                    contig,
                )
        return self._starts[contig]


def _apart(gaps: Gaps) -> Gaps:
    """Sort gaps, and join those that overlap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(gaps):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _letters_in(reference: Reference, interval: Interval) -> Letters:
    encoded = DNA_VOCABULARY.encode(reference.fetch(interval), name=interval.contig)
    return DNA_VOCABULARY.to_bases(encoded.tokens)
