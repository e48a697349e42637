"""The pipeline of all verbs that compute with a model: records in, one file out.

A `Pipeline` reads the records of its shard, computes them part by part, keeps what is computed in
a `Journal` next to the output, and writes the output once all parts are there. After an
interruption the same request continues after the last part of the journal.
"""

import json
import logging
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from itertools import groupby, islice, repeat
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from megabase.data.memory_index import MemoryIndex, OwnPlaces
from megabase.errors import InputError, counted
from megabase.genome.reference import Reference
from megabase.inference.predictor import Predictor, check_device, check_precision
from megabase.io.arrays import Rows
from megabase.runtime.artifacts import (
    Output,
    atomic_file,
    difference,
    exclusive_lock,
    parts_folder,
)
from megabase.runtime.log import Meter, progress

_log = logging.getLogger(__name__)


def encode_rows(rows: Rows) -> bytes:
    """Encode rows as a line of JSON (names, counts, skip reasons) and the bytes of their values."""
    head = json.dumps([rows.names, rows.counts, rows.skip_reasons])
    return b"".join([head.encode(), b"\n", rows.values.tobytes()])


class Frames:
    """The rows of a journal, with or without their values.

    Parameters
    ----------
    body
        A file of frames written by `encode_rows`.
    n_channels
        Numbers in a row.
    dtype
        Type of these numbers.
    """

    def __init__(self, body: Path, n_channels: int, dtype: np.dtype[Any]) -> None:
        self._body, self._n_channels, self._dtype = body, n_channels, dtype

    def __iter__(self) -> Iterator[Rows]:
        return self._read(with_values=True)

    def heads(self) -> Iterator[Rows]:
        """Yield names, counts and skip reasons, without values."""
        return self._read(with_values=False)

    def _read(self, *, with_values: bool) -> Iterator[Rows]:
        with self._body.open("rb") as file:
            while line := file.readline():
                names, counts, reasons = json.loads(line)
                shape = (sum(counts), self._n_channels)
                n_bytes = shape[0] * shape[1] * self._dtype.itemsize
                if with_values:
                    values = np.frombuffer(file.read(n_bytes), dtype=self._dtype).reshape(shape)
                else:
                    file.seek(n_bytes, 1)
                    values = np.empty((0, self._n_channels), dtype=self._dtype)
                yield Rows(names, counts, reasons, values)


_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Shard:
    """The records `index`, `index` + `count`, `index` + 2 `count`, ..., counted from 1."""

    index: int
    count: int

    @classmethod
    def from_text(cls, text: str) -> "Shard":
        """Read a shard written as ``i/n``.

        Raises
        ------
        InputError
            If the text is malformed, or i is not from 1 to n.

        Examples
        --------
        >>> Shard.from_text("2/8")
        Shard(index=2, count=8)
        """
        index, _, count = text.partition("/")
        if index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise InputError(f"a shard must be i/n with i from 1 to n, such as 2/8; got {text!r}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, records: Iterable[_Record]) -> Iterator[_Record]:
        """Yield the records of this shard, in order.

        Examples
        --------
        >>> list(Shard(2, 3).of("abcdefgh"))
        ['b', 'e', 'h']
        """
        return islice(records, self.index - 1, None, self.count)

    def size(self, n_records: int) -> int:
        """Return how many of `n_records` records are in this shard.

        Examples
        --------
        >>> Shard(2, 3).size(8)
        3
        """
        return len(range(self.index - 1, n_records, self.count))


LINES_PER_RECORD = "lines_per_record"
"""Key of a shard's result: the number of output lines of each of its records."""


def packed_counts(counts: Iterable[int]) -> str:
    """Encode numbers as text, with runs of equal numbers shortened.

    Examples
    --------
    >>> packed_counts([1, 1, 1, 2, 1]), packed_counts([])
    ('1*3 2 1', '')
    """
    runs = ((value, sum(1 for _ in run)) for value, run in groupby(counts))
    return " ".join(str(value) if n == 1 else f"{value}*{n}" for value, n in runs)


def unpacked_counts(text: str) -> Iterator[int]:
    """Yield the numbers that `packed_counts` encoded.

    Examples
    --------
    >>> list(unpacked_counts("1*3 2 1"))
    [1, 1, 1, 2, 1]
    """
    for run in text.split():
        value, _, n = run.partition("*")
        yield from repeat(int(value), int(n or 1))


class Journal:
    """The output lines so far, saved on disk so that an interruption loses at most one part.

    A part counts as done once its lines are on disk and a note file records them. Lines after
    the last such part, left by an interruption, are truncated.

    Parameters
    ----------
    folder
        Folder of the lines and the note until the output is complete.
    request
        Everything that determines the lines. The work of another request is discarded, and a
        log line reports it.

    Attributes
    ----------
    body
        The file of lines.
    n_done
        Number of records that are done.
    """

    def __init__(self, folder: Path, request: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.body = folder / "lines"
        self._note = folder / "done.json"
        self._request = json.loads(json.dumps(request))
        self.body.touch()
        self.n_done, self._n_bytes = self._noted()
        with self.body.open("r+b") as file:
            file.truncate(self._n_bytes)

    def _noted(self) -> tuple[int, int]:
        if not self._note.exists():
            return 0, 0
        note = json.loads(self._note.read_text(encoding="utf-8"))
        if change := difference(note["request"], self._request):
            n = counted(note["n_records"], "record was", "records were")
            _log.info("starting over: %s done by another request (%s)", n, change)
            return 0, 0
        if self.body.stat().st_size < note["n_bytes"]:
            return 0, 0
        return note["n_records"], note["n_bytes"]

    def append(self, lines: bytes, n: int) -> None:
        """Append the lines of `n` more records, and record them as done."""
        # The lines must be on disk before the note counts them.
        with self.body.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        self.n_done, self._n_bytes = self.n_done + n, self._n_bytes + len(lines)
        note = {"request": self._request, "n_records": self.n_done, "n_bytes": self._n_bytes}
        with atomic_file(self._note) as file:
            json.dump(note, file)

    def remove(self) -> None:
        """Remove lines and note."""
        shutil.rmtree(self.body.parent)


@contextmanager
def open_journal(output: Path, request: Mapping[str, Any]) -> Generator[Journal]:
    """Yield the `Journal` of an output, for one process only; it is removed if the block succeeds.

    It is also removed after an InputError, because a corrected request is a different one and
    starts over. After any other exception it is kept.

    Parameters
    ----------
    output
        The file to be written.
    request
        Everything that determines the lines.

    Raises
    ------
    InputError
        If another process is writing the same output.
    """
    with exclusive_lock(output, is_folder=False):
        journal = Journal(parts_folder(output), request)
        try:
            yield journal
        except InputError:
            journal.remove()
            raise
        journal.remove()


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a command computes: the options that all verbs with a model share.

    Parameters
    ----------
    shard
        The part of the records to process.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    precision
        ``float32``, or ``bfloat16`` on a CPU.
    max_memory_gib
        The most memory that the process may take on a CPU, in GiB; None: no limit.
    batch_tokens
        The most tokens of a batch, padding included; None: the default of the device. A longer
        sequence is a batch by itself.
    deterministic
        Whether each sequence or window is a batch by itself. Results then do not depend on
        shards or on other records of the input in any bit. Otherwise they do by rounding, less
        than 1e-5 nats for the log-likelihood of a base.
    index
        File with which the memory of every sequence begins, from `megabase index`; None: nothing.
    overwrite
        Whether an existing output may be replaced.

    Raises
    ------
    InputError
        If an option is invalid.
    """

    shard: Shard = Shard(1, 1)
    device: str = "auto"
    precision: str = "float32"
    max_memory_gib: float | None = None
    batch_tokens: int | None = None
    deterministic: bool = False
    index: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_device(self.device)
        check_precision(self.precision)
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise InputError(f"a batch must have at least 1 token, got {self.batch_tokens}")
        if self.batch_tokens is not None and self.deterministic:
            raise InputError(
                "--deterministic reads one sequence at a time; leave out --batch-tokens"
            )

    @property
    def tokens_per_batch(self) -> int | None:
        """The most tokens of a batch; None: the default of the device."""
        return 1 if self.deterministic else self.batch_tokens

    def load(self, model: str, *, n_bytes_held: int = 0) -> Predictor:
        """Load a model as these options request; `n_bytes_held` count towards the memory limit."""
        limit = self.max_memory_gib
        opened = self.opened_index
        predictor = Predictor.load(
            model,
            device=self.device,
            precision=self.precision,
            max_memory_gib=None if limit is None else limit - n_bytes_held / 2**30,
            batch_tokens=self.tokens_per_batch,
        )
        if opened is not None:
            predictor.begin_with(opened.base, f"the index {opened.path}")
        return predictor

    @cached_property
    def opened_index(self) -> MemoryIndex | None:
        """The content of the index, if there is one."""
        return None if self.index is None else MemoryIndex(self.index)

    def own_places(self, genome: Reference) -> OwnPlaces | None:
        """Return what finds an interval of a genome in the index; None without an index."""
        index = self.opened_index
        return None if index is None else OwnPlaces.of_reference(index, genome)

    def in_request(self) -> dict[str, Any]:
        """Return the options that affect values, as arguments of a `Request`."""
        index = self.opened_index
        return {
            "precision": self.precision,
            "shard": str(self.shard),
            "deterministic": self.deterministic,
            "index": None if index is None else index.fingerprint,
        }


DEFAULTS = RunOptions()
"""The options if none are given."""


_ALWAYS_RECORDED: Mapping[str, tuple[str, ...]] = {
    "score": ("precision",),
    "score-vcf": ("precision", "shard"),
    "embed": ("precision", "shard"),
}
"""By command, the fields that a request records even if they have their default value."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that determines an output; each verb adds its own fields.

    Parameters
    ----------
    model
        SHA-256 of the weights.
    precision, shard, deterministic
        As in `RunOptions`.
    index
        The fingerprint of the index.
    """

    command: ClassVar[str]

    model: str
    precision: str = "float32"
    shard: str = "1/1"
    deterministic: bool = False
    index: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the request for a record file, without fields that have their default value.

        An option that is added to a verb therefore does not change the requests of outputs that
        were written before.
        """
        found = {"command": self.command}
        always = _ALWAYS_RECORDED.get(self.command, ())
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in always or field.default is MISSING or value != field.default:
                found[field.name] = value
        return found


def request_of_whole(shard: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded request without shards, from the recorded request of a shard."""
    whole = {key: value for key, value in shard.items() if key != "shard"}
    is_recorded = "shard" in _ALWAYS_RECORDED.get(shard["command"], ())
    return whole | ({"shard": Request.shard} if is_recorded else {})


_Request = TypeVar("_Request", bound=Request)


class Pipeline(ABC, Generic[_Record, _Request]):
    """What a verb computes for each record, and how it writes the output.

    Parameters
    ----------
    request
        Everything that determines the output.
    shard
        The part of the records to process.
    device
        Type of the device. It decides the last bits, so another one starts over.
    """

    title: ClassVar[str]
    """The work in a word or two, for the progress."""
    unit: ClassVar[str]
    """The unit of the progress, in the plural."""
    bases_in_part: int = 1 << 18
    """Bases after which a part is saved; an interruption loses at most one part."""
    records_in_part: int | None = None
    """The most records of a part; None: no limit."""

    def __init__(self, request: _Request, shard: Shard, device: str) -> None:
        self.request = request
        self.shard = shard
        self.device = device

    @abstractmethod
    def announce(self, output: Path) -> None:
        """Log memory and time; raise an InputError if memory or disk are too small."""

    @property
    @abstractmethod
    def total(self) -> int:
        """The units of all records."""

    @abstractmethod
    def records(self) -> Iterator[_Record]:
        """Yield the records of the shard in order, from the first on at each call."""

    @abstractmethod
    def n_bases(self, record: _Record) -> int:
        """Return the bases of a record."""

    def n_units(self, record: _Record) -> int:
        """Return the units of a record in the progress: by default its bases."""
        return self.n_bases(record)

    @abstractmethod
    def compute(self, part: Sequence[_Record], advance: Callable[[int], None]) -> bytes:
        """Compute some consecutive records.

        Parameters
        ----------
        part
            The records.
        advance
            To be called with the units that are done, in total those of the part.
        """

    def n_expected(self) -> int | None:
        """Return the number of records that were found before the work; None if it is certain."""
        return None

    def lines_per_record(self, body: Path) -> Iterable[int] | None:
        """Return the output lines of each record of a shard; None if they cannot be counted."""
        del body
        return None

    def results(self, body: Path) -> dict[str, Any]:
        """Return figures for the record file, from the results of `compute`, concatenated."""
        del body
        return {}

    def companions(self) -> tuple[str, ...]:
        """Return the suffixes of files that are written next to the output."""
        return ()

    @abstractmethod
    def write(self, path: Path, body: Path) -> None:
        """Write the output from the results of `compute`, concatenated.

        Parameters
        ----------
        path
            A temporary path, with the suffix of the output.
        body
            The file of the results.
        """

    def run(self, place: Output) -> None:
        """Compute the records that are not done yet, then write the complete output."""
        self.announce(place.path)
        request = self.request.record() | {"device": self.device}
        with open_journal(place.path, request) as journal:
            with progress(self.total, self.title, self.unit) as meter:
                self._fill(journal, meter)
            self._check(journal.n_done)
            results = self.results(journal.body)
            if self.shard.count > 1 and (n := self.lines_per_record(journal.body)) is not None:
                results[LINES_PER_RECORD] = packed_counts(n)
            with place.write_at(*self.companions(), device=self.device, **results) as path:
                self.write(path, journal.body)

    def _check(self, n_records: int) -> None:
        """Raise an InputError if the input changed since its records were counted."""
        expected = self.n_expected()
        if expected is not None and n_records != expected:
            raise InputError(
                f"the input changed while it was read: expected {expected:,} records, got "
                f"{n_records:,}; run again once it is complete"
            )

    def _fill(self, journal: Journal, meter: Meter) -> None:
        """Compute the records that are not in the journal yet, a part at a time."""
        records = self.records()
        if journal.n_done:
            _log.info("%s done already", counted(journal.n_done, "record is", "records are"))
            meter.skip(sum(map(self.n_units, islice(records, journal.n_done))))
        for part in self._parts(records):
            journal.append(self.compute(part, meter.advance), len(part))

    def _parts(self, records: Iterator[_Record]) -> Iterator[list[_Record]]:
        """Group consecutive records; where a part ends does not depend on interruptions."""
        part: list[_Record] = []
        n_bases = 0
        for record in records:
            part.append(record)
            n_bases += self.n_bases(record)
            if n_bases >= self.bases_in_part or len(part) == self.records_in_part:
                yield part
                part, n_bases = [], 0
        if part:
            yield part
