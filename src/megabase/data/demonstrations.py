"""Draw the training rows that are shown as demonstrations; a query is never among them."""

import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from megabase.data.splits import strand_key
from megabase.errors import InputError
from megabase.genome.few_shot_prompt import Shot, Tokens

_log = logging.getLogger(__name__)


class DemonstrationPool:
    """Training rows from which demonstrations are drawn.

    Parameters
    ----------
    rows
        The training rows.
    class_names
        The name of each class, in the order of class numbers.
    queries
        The sequences to be classified. A training row that equals one of them, on either
        strand, is never drawn; the number of such rows is logged.

    Attributes
    ----------
    n_left_out
        Number of training rows that equal a query.
    """

    def __init__(
        self, rows: Sequence[Shot], class_names: Sequence[str], queries: Iterable[Tokens]
    ) -> None:
        asked = {strand_key(query) for query in queries}
        self._rows_of: list[list[tuple[bytes, Shot]]] = [[] for _ in class_names]
        self._names = class_names
        self.n_left_out = 0
        for row in rows:
            key = strand_key(row.sequence)
            if key in asked:
                self.n_left_out += 1
            else:
                self._rows_of[row.label].append((key, row))
        if self.n_left_out:
            _log.info(
                "%s of %s training rows equal a query on one of the strands and are never drawn",
                f"{self.n_left_out:,}",
                f"{len(rows):,}",
            )

    def draw(
        self, n_per_class: int, *, seed: Sequence[int], beside: Tokens | None = None
    ) -> list[Shot]:
        """Draw the same number of rows of each class; no two are equal on either strand.

        The rows come in rounds of one row per class, in a random order within each round.

        Parameters
        ----------
        n_per_class
            Number of rows of each class.
        seed
            Seed of the draw.
        beside
            One more sequence that must not be drawn.

        Raises
        ------
        InputError
            If a class has too few rows.
        """
        taken = set[bytes]() if beside is None else {strand_key(beside)}
        chosen: list[list[Shot]] = []
        for number, rows in enumerate(self._rows_of):
            order = np.random.default_rng([*seed, number]).permutation(len(rows))
            others = _others((rows[place] for place in order), taken)
            chosen.append([shot for shot, _ in zip(others, range(n_per_class), strict=False)])
            if len(chosen[-1]) < n_per_class:
                raise InputError(
                    f"class {self._names[number]} has {len(chosen[-1]):,} different training rows "
                    f"that are not queries, fewer than the {n_per_class:,} to draw; request fewer"
                )
        rng = np.random.default_rng([*seed, len(chosen)])
        rounds = (rng.permutation(len(chosen)) for _ in range(n_per_class))
        return [chosen[number][place] for place, each in enumerate(rounds) for number in each]


def _others(rows: Iterable[tuple[bytes, Shot]], taken: set[bytes]) -> Iterator[Shot]:
    """Yield the rows that are not yet in `taken`, and add them to it."""
    for key, row in rows:
        if key not in taken:
            taken.add(key)
            yield row
