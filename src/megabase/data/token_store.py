"""Store a genome as memory-mapped uint8 tokens, built once; one bit keeps the case."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
from jaxtyping import Bool, Float16, Int, UInt8

from megabase.errors import InputError, counted
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_inside
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.derived_files import remembered_sha256
from megabase.io.genome_file import open_reference

_log = logging.getLogger(__name__)

_LAYOUT = 3  # increase it when the format of the files below changes
_A_DAY = 86_400.0  # seconds
_PIECE_BP = 1 << 24  # letters encoded, or searched for N, at once
_TOKENS, _INDEX = "tokens.bin", "index.json"
_SOFT_MASKED = 0x80  # the bit that marks a token whose letter was in lower case
_LOWER_CASE = 0x20  # the bit that marks an ASCII letter in lower case


class _StoreIndex(NamedTuple):
    """The index of a store: contig lengths in order, hashes, and number of letters read as N."""

    lengths: dict[str, int]
    sha256: str
    case_sha256: str
    n_ambiguous: int


@dataclass(frozen=True)
class StoredWindow:
    """A window of a genome: its interval, and its bases as the store holds them.

    The bases are a view of the file, so a window takes no memory until something is computed
    from it, and all that is computed from it comes from the same bytes.
    """

    interval: Interval
    bases: UInt8[np.ndarray, " length"] = field(repr=False, compare=False)
    memory: Float16[np.ndarray, "length feature"] | None = field(
        default=None, repr=False, compare=False
    )
    """Features of a memory that has read what precedes the window, in the order of the strand."""

    def tokens(self) -> UInt8[np.ndarray, " length"]:
        """Return the tokens; on strand '-', those of the reverse complement."""
        tokens = self.bases & ~np.uint8(_SOFT_MASKED)
        return DNA_VOCABULARY.reverse_complement(tokens) if self._is_reverse else tokens

    def soft_masked(self) -> Bool[np.ndarray, " length"]:
        """Return which letters are in lower case, in the order of the strand."""
        masked = (self.bases & _SOFT_MASKED) != 0
        return masked[::-1] if self._is_reverse else masked

    def n_unknown(self, length: int) -> Int[np.ndarray, " window"]:
        """Count the N of each of the consecutive windows into which `Interval.windows` cuts.

        Parameters
        ----------
        length
            Length of a window in tokens; the last may be shorter.
        """
        at_once = max(1, _PIECE_BP // length) * length  # whole windows, of a bounded size together
        counts: list[np.ndarray] = []
        for start in range(0, len(self.bases), at_once):
            tokens = self.bases[start : start + at_once] & ~np.uint8(_SOFT_MASKED)
            is_unknown = tokens == DNA_VOCABULARY.unknown_id
            firsts = np.arange(0, len(tokens), length)
            counts.append(np.add.reduceat(is_unknown, firsts, dtype=np.int64))
        return np.concatenate(counts)

    @property
    def _is_reverse(self) -> bool:
        return self.interval.strand == "-"


class TokenStore:
    """The tokens of every contig of a genome, read from disk when they are fetched.

    Parameters
    ----------
    folder
        Folder with the files that `open_token_store` wrote.
    name
        Name of the genome in messages.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        index = _StoreIndex(**json.loads((folder / _INDEX).read_text(encoding="utf-8")))
        self.lengths: Mapping[str, int] = index.lengths
        self.sha256 = index.sha256
        self.case_sha256 = index.case_sha256
        ends = np.cumsum(list(index.lengths.values()))
        self._starts = dict(zip(index.lengths, [0, *ends[:-1].tolist()], strict=True))
        self._tokens = np.memmap(folder / _TOKENS, dtype=np.uint8, mode="r")

    def contigs(self) -> list[Interval]:
        """Return the whole interval of each contig."""
        return [Interval(contig, 0, length) for contig, length in self.lengths.items()]

    def read(self, interval: Interval) -> StoredWindow:
        """Return the bases of an interval as a view of the file.

        Raises
        ------
        InputError
            If the contig is not in the genome, or the interval ends beyond it.
        """
        check_inside(interval, self.lengths, self.name)
        start = self._starts[interval.contig]
        bases = np.asarray(self._tokens[start + interval.start : start + interval.end])
        return StoredWindow(interval, bases)

    def fetch(self, interval: Interval) -> UInt8[np.ndarray, " length"]:
        """Return the tokens of an interval; on strand '-', of its reverse complement."""
        return self.read(interval).tokens()

    def letters(self, interval: Interval) -> UInt8[np.ndarray, " length"]:
        """Return the same as numbers of letters: 0 to 3 for A, C, G and T, 4 for N."""
        return DNA_VOCABULARY.to_bases(self.fetch(interval))


def open_token_store(path: Path, *, cache: Path) -> TokenStore:
    """Open the token store of a genome file; build it if the file is new or has changed.

    Parameters
    ----------
    path
        FASTA or 2bit file.
    cache
        Folder that holds the stores of all genomes.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, or contains an invalid letter.
    """
    if not path.is_file():
        raise InputError(f"there is no genome file {path}; give the path of a FASTA or 2bit file")
    folder = _place(path, cache)
    if not folder.exists():
        _build(open_reference(path, cache=cache), folder)
        _remove_outdated(folder)
    return TokenStore(folder, str(path))


def _place(path: Path, cache: Path) -> Path:
    """Return the store's folder, named by path and content: a changed file gets a new folder."""
    file = _short_hash(str(path.resolve()))
    content = _short_hash(f"{_LAYOUT}:{remembered_sha256(path, cache)}")
    return cache / "tokens" / f"{file}-{content}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _build(reference: Reference, folder: Path) -> None:
    """Write the store under a temporary name, then rename it."""
    part = folder.with_name(f"{folder.name}.{uuid4().hex[:12]}.part")
    part.mkdir(parents=True)
    try:
        index = _write_tokens(reference, part / _TOKENS)
        (part / _INDEX).write_text(json.dumps(index._asdict()), encoding="utf-8")
        part.replace(folder)
    except OSError:
        if not folder.exists():  # otherwise another process has just built the same store
            raise
        return
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _log.info(
        "read %s: %s, %s bp, %s counted as N",
        reference.name,
        counted(len(index.lengths), "contig"),
        f"{sum(index.lengths.values()):,}",
        counted(index.n_ambiguous, "ambiguous letter"),
    )


def _write_tokens(reference: Reference, path: Path) -> _StoreIndex:
    digest, digest_of_case = hashlib.sha256(), hashlib.sha256()
    n_ambiguous = 0
    with path.open("wb") as file:
        for contig, length in reference.lengths.items():
            digest.update(f">{contig} {length}\n".encode())
            pieces = Interval(contig, 0, length).windows(_PIECE_BP) if length else []
            for piece in pieces:
                letters = reference.fetch(piece)
                encoded = DNA_VOCABULARY.encode(letters, name=contig, start=piece.start)
                lower = np.frombuffer(letters.encode("ascii"), dtype=np.uint8) & _LOWER_CASE
                tokens = np.where(lower != 0, encoded.tokens | _SOFT_MASKED, encoded.tokens)
                digest.update(encoded.tokens.data)
                digest_of_case.update(lower.data)
                file.write(tokens.data)
                n_ambiguous += encoded.n_ambiguous
    if not path.stat().st_size:
        raise InputError(f"{reference.name} holds no bases")
    lengths = {contig: length for contig, length in reference.lengths.items() if length}
    return _StoreIndex(lengths, digest.hexdigest(), digest_of_case.hexdigest(), n_ambiguous)


def _remove_outdated(folder: Path) -> None:
    """Remove stores of earlier states of the same file, and incomplete stores of killed runs."""
    file = folder.name.partition("-")[0]
    for other in folder.parent.glob(f"{file}-*"):
        is_being_built = other.suffix == ".part" and time.time() - other.stat().st_mtime < _A_DAY
        if other != folder and not is_being_built:
            shutil.rmtree(other, ignore_errors=True)
