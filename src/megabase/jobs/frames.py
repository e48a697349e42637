"""Rows of embeddings in a journal, from which the output is written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from megabase.io.arrays import Rows


def frame_of(rows: Rows) -> bytes:
    """Encode rows as a line of JSON (names, counts, skip reasons) and the bytes of their values."""
    head = json.dumps([rows.names, rows.counts, rows.skip_reasons])
    return b"".join([head.encode(), b"\n", rows.values.tobytes()])


class Frames:
    """The rows of a journal, with or without their values.

    Parameters
    ----------
    body
        A file of frames written by `frame_of`.
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
