"""What pipelines share: records of a shard, finished parts, and rows kept in a journal."""

import json
import logging
import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice, repeat
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from megabase.errors import InputError
from megabase.io.arrays import Rows
from megabase.runtime.artifacts import (
    atomic_file,
    atomic_path,
    difference,
    exclusive_lock,
    parts_folder,
)
from megabase.runtime.log import counted

_log = logging.getLogger(__name__)


class Parts:
    """Arrays by name, saved in a folder next to an output; those of another request are removed.

    Parameters
    ----------
    output
        The file to be written from them.
    request
        Everything that determines their values.
    """

    def __init__(self, output: Path, request: Mapping[str, Any]) -> None:
        self._folder = parts_folder(output)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._keep_those_of(json.loads(json.dumps(request)))
        self.n_found = sum(1 for _ in self._folder.glob("*.npy"))
        if self.n_found:
            _log.info(
                "%s was interrupted: %s done", output, counted(self.n_found, "part is", "parts are")
            )

    def _keep_those_of(self, request: Mapping[str, Any]) -> None:
        """Remove the files of another request, but not the folder, which may be locked."""
        note = self._folder / "request.json"
        change = "which is not recorded"
        if note.is_file():
            change = difference(json.loads(note.read_text(encoding="utf-8")), request)
        if not change:
            return
        others = [*self._folder.iterdir()]
        if others:
            _log.info("starting over: the saved parts are of another request (%s)", change)
        for file in others:
            file.unlink()
        with atomic_file(note) as stream:
            json.dump(request, stream)

    def __contains__(self, name: str) -> bool:
        return self._file(name).is_file()

    def save(self, name: str, values: np.ndarray) -> None:
        """Save a part; if interrupted, it is either complete or absent."""
        with atomic_path(self._file(name)) as part, part.open("wb") as stream:
            np.save(stream, values)

    def load(self, name: str) -> np.ndarray:
        """Return a saved part."""
        return np.load(self._file(name))

    def remove(self) -> None:
        """Remove all parts, once the output is complete."""
        shutil.rmtree(self._folder)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.npy"


@contextmanager
def open_parts(output: Path, request: Mapping[str, Any]) -> Generator[Parts]:
    """Yield the `Parts` of an output; they are removed if the block succeeds.

    Parameters
    ----------
    output
        The file to be written.
    request
        Everything that determines the parts.

    Raises
    ------
    InputError
        If another process is writing the same output.
    """
    with exclusive_lock(output, is_folder=False):
        parts = Parts(output, request)
        yield parts
        parts.remove()


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

    def in_request(self) -> str | None:
        """Return the text of the shard for a request; None if it has all records."""
        return None if self.count == 1 else str(self)

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
