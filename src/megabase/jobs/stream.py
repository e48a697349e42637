"""A long file, record by record: which are of this shard, and which are done already."""

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

from megabase.errors import InputError
from megabase.run.log import counted
from megabase.run.output import difference, only_writer, parts_folder, whole_file

_log = logging.getLogger(__name__)

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Shard:
    """Every `count`-th record, from the `index`-th on, both counted from 1."""

    index: int
    count: int

    @classmethod
    def from_text(cls, text: str) -> "Shard":
        """Read what people write.

        Examples
        --------
        >>> Shard.from_text("2/8")
        Shard(index=2, count=8)
        """
        index, _, count = text.partition("/")
        if index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise InputError(f"a shard is i/n with i from 1 to n, as 2/8; got {text!r}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def in_request(self) -> str | None:
        """Return what a request has of it: nothing if it is all records."""
        return None if self.count == 1 else str(self)

    def of(self, records: Iterable[_Record]) -> Iterator[_Record]:
        """Give the records of this shard, in order.

        Examples
        --------
        >>> list(Shard(2, 3).of("abcdefgh"))
        ['b', 'e', 'h']
        """
        return islice(records, self.index - 1, None, self.count)

    def size(self, n_records: int) -> int:
        """Give how many of so many records are of this shard.

        Examples
        --------
        >>> Shard(2, 3).size(8)
        3
        """
        return len(range(self.index - 1, n_records, self.count))


LINES_PER_RECORD = "lines_per_record"
"""The result of a shard that says how many lines of its output each of its records has."""


def packed_counts(counts: Iterable[int]) -> str:
    """Write numbers that mostly repeat in a few letters.

    Examples
    --------
    >>> packed_counts([1, 1, 1, 2, 1]), packed_counts([])
    ('1*3 2 1', '')
    """
    runs = ((value, sum(1 for _ in run)) for value, run in groupby(counts))
    return " ".join(str(value) if n == 1 else f"{value}*{n}" for value, n in runs)


def unpacked_counts(text: str) -> Iterator[int]:
    """Yield the numbers that `packed_counts` wrote.

    Examples
    --------
    >>> list(unpacked_counts("1*3 2 1"))
    [1, 1, 1, 2, 1]
    """
    for run in text.split():
        value, _, n = run.partition("*")
        yield from repeat(int(value), int(n or 1))


class Journal:
    """The lines of what is done so far, kept on disk so that a kill costs one part at most.

    A part counts once it is on the disk and the note beside it says so; what a kill left
    after the last such part is cut off.

    Parameters
    ----------
    folder
        Where lines and note lie until the work is whole.
    request
        What decides the lines; the work of another request is thrown away, with a line of
        the log.

    Attributes
    ----------
    body
        The file of lines.
    n_done
        Records that are done.
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
            _log.info("starting anew: %s done by another request (%s)", n, change)
            return 0, 0
        if self.body.stat().st_size < note["n_bytes"]:
            return 0, 0
        return note["n_records"], note["n_bytes"]

    def append(self, lines: bytes, n: int) -> None:
        """Add the lines of `n` more records, and note them as done."""
        with self.body.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        self.n_done, self._n_bytes = self.n_done + n, self._n_bytes + len(lines)
        note = {"request": self._request, "n_records": self.n_done, "n_bytes": self._n_bytes}
        with whole_file(self._note) as file:
            json.dump(note, file)

    def remove(self) -> None:
        """Take away lines and note."""
        shutil.rmtree(self.body.parent)


@contextmanager
def kept_journal(output: Path, request: Mapping[str, Any]) -> Generator[Journal]:
    """Give the `Journal` of an output to one process; it is removed when the output is whole.

    It is removed after an InputError, too: a mended request is another one, of which nothing
    is done. Any other end keeps it.

    Raises
    ------
    InputError
        If another process is making the same output.
    """
    with only_writer(output, is_folder=False):
        journal = Journal(parts_folder(output), request)
        try:
            yield journal
        except InputError:
            journal.remove()
            raise
        journal.remove()
