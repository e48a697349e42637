"""Which training rows are shown as demonstrations: never one that is asked for."""

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from megabase.data.grouped_split import either_strand
from megabase.errors import InputError
from megabase.genome.few_shot import Shot, Tokens

_log = logging.getLogger(__name__)


class DemonstrationPool:
    """Training rows that demonstrations are drawn from.

    Parameters
    ----------
    rows
        The training rows.
    class_names
        In the order of their numbers.
    queries
        What is asked for: a training row that is one of them, on either strand, is never
        drawn. A line of the log says how many such there are.

    Attributes
    ----------
    n_left_out
        How many rows are queries.
    """

    def __init__(
        self, rows: Sequence[Shot], class_names: Sequence[str], queries: Iterable[Tokens]
    ) -> None:
        asked = {either_strand(query) for query in queries}
        self._rows_of: list[list[tuple[bytes, Shot]]] = [[] for _ in class_names]
        self._names = class_names
        self.n_left_out = 0
        for row in rows:
            key = either_strand(row.sequence)
            if key in asked:
                self.n_left_out += 1
            else:
                self._rows_of[row.label].append((key, row))
        if self.n_left_out:
            _log.info(
                "%s of %s training rows are queries on one of the strands; others are drawn",
                f"{self.n_left_out:,}",
                f"{len(rows):,}",
            )

    def draw(
        self, n_per_class: int, *, seed: Sequence[int], beside: Tokens | None = None
    ) -> list[Shot]:
        """Draw as many rows of each class, no two the same on either strand.

        They come in rounds of one of each class, in an order that is drawn for each round.

        Parameters
        ----------
        n_per_class
            How many of each.
        seed
            Fixes the draw.
        beside
            One more sequence that is not drawn.

        Raises
        ------
        InputError
            If a class has too few rows.
        """
        taken = set[bytes]() if beside is None else {either_strand(beside)}
        chosen: list[list[Shot]] = []
        for number, rows in enumerate(self._rows_of):
            order = np.random.default_rng([*seed, number]).permutation(len(rows))
            others = _others((rows[place] for place in order), taken)
            chosen.append([shot for shot, _ in zip(others, range(n_per_class), strict=False)])
            if len(chosen[-1]) < n_per_class:
                raise InputError(
                    f"class {self._names[number]} has {len(chosen[-1]):,} different training rows "
                    f"that are no queries, and {n_per_class:,} are to be drawn; ask for fewer"
                )
        rng = np.random.default_rng([*seed, len(chosen)])
        rounds = (rng.permutation(len(chosen)) for _ in range(n_per_class))
        return [chosen[number][place] for place, each in enumerate(rounds) for number in each]


def _others(rows: Iterable[tuple[bytes, Shot]], taken: set[bytes]) -> Iterator[Shot]:
    """Give rows that are not taken yet, and take them."""
    for key, row in rows:
        if key not in taken:
            taken.add(key)
            yield row
