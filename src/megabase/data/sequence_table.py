"""The sequences of a table: written out in it, or intervals of a genome."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.table import read_rows

CROPS = ("centre", "left", "random")
"""Which part of a sequence that is longer than the context is kept."""

_log = logging.getLogger(__name__)


class Record(NamedTuple):
    """A row as it stands, and the tokens of its sequence."""

    row: dict[str, str]
    tokens: UInt8[np.ndarray, " length"]


class SequenceTable:
    """Reads a table row by row, as often as it is asked.

    Parameters
    ----------
    path
        CSV, TSV or Parquet with a column ``sequence``; or with the columns ``contig``,
        ``start``, ``end`` (0-based, half-open) and perhaps ``strand``, and a genome.
    columns
        What columns it must have besides.
    reference
        The genome of its intervals; None: sequences are written out.
    context_length
        The most tokens that the model reads; None: any.
    n_prompt_tokens
        How many of them a soft prompt takes from each sequence.
    crop
        One of `CROPS`, for longer ones; ``"random"``: from a place that is drawn once for each
        row. None: a longer one is an error.
    seed
        Fixes that draw.
    """

    def __init__(
        self,
        path: Path,
        *,
        columns: Sequence[str] = (),
        reference: Reference | None = None,
        context_length: int | None = None,
        n_prompt_tokens: int = 0,
        crop: str | None = None,
        seed: int = 0,
    ) -> None:
        if crop is not None and crop not in CROPS:
            raise InputError(f"crop is one of {', '.join(CROPS)}; got {crop!r}")
        self.path = path
        self._reference = reference
        of_place = ("sequence",) if reference is None else ("contig", "start", "end")
        self._columns = (*of_place, *columns)
        self._longest = None if context_length is None else context_length - n_prompt_tokens
        if self._longest is not None and self._longest < 1:
            raise InputError(
                f"{n_prompt_tokens:,} prompt tokens leave no room for a sequence in a context of "
                f"{context_length:,}"
            )
        self._n_prompt_tokens = n_prompt_tokens
        self._crop = crop
        self._seed = seed

    def records(self, *, tell: bool = True) -> Iterator[Record]:
        """Give each row with its tokens; at the end the log says what was cut and read as N.

        Parameters
        ----------
        tell
            Whether it does.

        Raises
        ------
        InputError
            If the table cannot be read or holds no row, or at the first sequence that is
            empty, no DNA, no part of the genome, or too long.
        """
        n_rows = n_cropped = n_ambiguous = 0
        for n_rows, row in enumerate(read_rows(self.path, self._columns), start=1):
            name = f"{self.path}, row {n_rows}"
            encoded = DNA_VOCABULARY.encode(self._letters(row, name), name=name)
            n_ambiguous += encoded.n_ambiguous
            tokens = self._cropped(encoded.tokens, n_rows, name)
            n_cropped += len(tokens) < len(encoded.tokens)
            yield Record(row, tokens)
        if not n_rows:
            raise InputError(f"{self.path} holds no row; a line is one sequence")
        if tell and n_cropped:
            _log.info(
                "%s: %s of %s sequences were cut to %s bp (--crop %s)", self.path,
                f"{n_cropped:,}", f"{n_rows:,}", f"{self._longest:,}", self._crop,
            )  # fmt: skip
        if tell and n_ambiguous:
            _log.info("%s: %s ambiguous letters were read as N", self.path, f"{n_ambiguous:,}")

    def _letters(self, row: dict[str, str], name: str) -> str:
        if self._reference is None:
            if not row["sequence"]:
                raise InputError(f"{name}: the sequence is empty; remove the row")
            return row["sequence"]
        try:
            start, end = int(row["start"]), int(row["end"])
        except ValueError as error:
            raise InputError(
                f"{name}: expected whole numbers in start and end, got {row['start']!r} and "
                f"{row['end']!r}"
            ) from error
        strand = "-" if row.get("strand") == "-" else "+"
        try:
            return self._reference.fetch(Interval(row["contig"], start, end, strand))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error

    def _cropped(
        self, tokens: UInt8[np.ndarray, " length"], row: int, name: str
    ) -> UInt8[np.ndarray, " part"]:
        limit = self._longest
        if limit is None or len(tokens) <= limit:
            return tokens
        beyond = len(tokens) - limit
        match self._crop:
            case "centre":
                start = beyond // 2
            case "left":
                start = 0
            case "random":
                start = int(np.random.default_rng([self._seed, row]).integers(beyond + 1))
            case _:
                raise InputError(self._too_long(len(tokens), limit, name))
        return tokens[start : start + limit]

    def _too_long(self, length: int, limit: int, name: str) -> str:
        mends = f"take --crop {'|'.join(CROPS)} to cut it, or a model with a longer context"
        n, context = self._n_prompt_tokens, limit + self._n_prompt_tokens
        if not n:
            return f"{name} has {length:,} bp, and the model reads at most {limit:,}; {mends}"
        fit = f"; at most {context - length:,} fit beside it" if length < context else ""
        return (
            f"{name} has {length:,} bp, and the model reads {context:,} tokens, of which {n:,} are "
            f"of the prompt{fit}; {mends}"
        )
