"""Read letters by interval from FASTA (plain, gzip or bgzip), and write FASTA."""

import gzip
import json
import logging
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple
from uuid import uuid4

import pysam

from megabase.errors import InputError, WorkError
from megabase.genome.interval import Interval
from megabase.genome.reference import check_inside, checked_on_strand
from megabase.io.compression import check_bgzip_is_whole, compression, uncompressed_name, write_gzi
from megabase.io.fasta_index import scan_contigs
from megabase.run.provenance import remembered_sha256

_log = logging.getLogger(__name__)

_LINE = 60  # letters of a line
_LAYOUT = 1  # version of the cached index; increase it when the format changes


def write_fasta(file: IO[str], header: str, letters: str) -> None:
    """Write one sequence, in lines of 60 letters.

    Parameters
    ----------
    file
        An open text file.
    header
        The text after '>': the name, and after a space an optional description.
    letters
        The sequence.
    """
    lines = (letters[start : start + _LINE] for start in range(0, len(letters), _LINE))
    file.write("\n".join([f">{header}", *lines]) + "\n")


class FastaReference:
    """A FASTA file as a Reference, read through an index.

    The index is built from the file, of which every line is checked. It is kept in `cache` under
    the SHA-256 of the file's content; indexes next to the file are neither read nor written. A
    file in plain gzip, which has no random access, is unpacked into `cache` once.

    Parameters
    ----------
    path
        FASTA, plain or compressed by gzip or bgzip.
    cache
        Folder for indexes and unpacked files.

    Raises
    ------
    InputError
        If the file is missing, truncated or damaged, has no sequence or a repeated contig name,
        or has a line that cannot be indexed.
    """

    def __init__(self, path: Path, *, cache: Path) -> None:
        self._name = str(path)
        _check_readable(path)
        kind = compression(path)
        if kind == "bgzip":
            check_bgzip_is_whole(path, name=self._name)
        indexed = _unpacked(path, cache) if kind == "gzip" else path
        index = _find_index(indexed, cache, self._name)
        self._file = pysam.FastaFile(
            str(indexed),
            filepath_index=str(index.path),
            filepath_index_compressed=str(index.blocks) if kind == "bgzip" else None,
        )
        self._lengths = dict(zip(self._file.references, self._file.lengths, strict=True))
        if index.n_empty:
            n, n_all = index.n_empty, index.n_empty + len(self._lengths)
            _log.warning("%s of %s contigs of %s have no letters", f"{n:,}", f"{n_all:,}", path)

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
        loudness = pysam.set_verbosity(0)  # our message replaces that of the library
        try:
            letters: str = self._file.fetch(interval.contig, interval.start, interval.end)
        except (OSError, ValueError) as error:
            raise WorkError(f"{interval} of {self._name} could not be read: {error}") from error
        finally:
            pysam.set_verbosity(loudness)
        return checked_on_strand(letters, interval, self._name)


def _check_readable(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"there is no genome file {path}; give the path of a FASTA or 2bit file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; a FASTA file starts with a line '>name'")


def _unpacked(path: Path, cache: Path) -> Path:
    """Return the unpacked copy of a gzip file in the cache; unpack each content once."""
    key = remembered_sha256(path, cache)[:16]
    target = cache / "fasta" / f"{key}-{uncompressed_name(path)}"
    if target.exists():
        return target
    _log.info("%s is plain gzip: unpacking it once to %s", path, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(target)
    try:
        with gzip.open(path) as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file, length=1 << 20)
        part.replace(target)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is truncated or damaged ({error}); copy it again") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _part(target: Path) -> Path:
    """Return the path of a temporary file next to `target`, unique among processes."""
    return target.with_name(f".{target.name}.{uuid4().hex[:12]}.part")


class _Index(NamedTuple):
    """The paths of an index, and the number of contigs without letters that it leaves out."""

    path: Path
    blocks: Path
    n_empty: int


def _find_index(path: Path, cache: Path, name: str) -> _Index:
    """Return the index of the current content of a file; build it if absent."""
    folder = cache / "fai" / f"{remembered_sha256(path, cache)}-{_LAYOUT}"
    if not folder.exists():
        _build_index(path, folder, name)
    n_empty = json.loads((folder / "n_empty.json").read_text(encoding="utf-8"))
    return _Index(folder / "index.fai", folder / "index.gzi", n_empty)


def _build_index(path: Path, folder: Path, name: str) -> None:
    """Write the index under a temporary name, then rename it."""
    contigs = scan_contigs(path, name)
    part = _part(folder)
    part.mkdir(parents=True)
    try:
        filled = [contig for contig in contigs if contig.length]
        (part / "index.fai").write_text(
            "".join(f"{contig.fai_line}\n" for contig in filled), encoding="utf-8"
        )
        (part / "n_empty.json").write_text(json.dumps(len(contigs) - len(filled)), encoding="utf-8")
        if compression(path) == "bgzip":
            write_gzi(path, part / "index.gzi")
        part.replace(folder)
    except OSError:
        if not folder.exists():  # otherwise another process has just built the same index
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
