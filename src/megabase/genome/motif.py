"""Forbidden motifs: an automaton that tracks how much of each motif has been seen."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

import numpy as np
from jaxtyping import Bool, Int

from megabase.errors import InputError
from megabase.genome.alphabet import BASES_OF, DNA

_N_BASES = len(DNA.bases)
_MOST_STATES = 1 << 14


class Motifs:
    """An automaton that matches motifs and their reverse complements, base by base.

    A state is the set of all motif prefixes that end at the last base. Each base leads from a
    state to the next and may complete a motif. An unknown base leads back to the first state,
    because it matches no motif.

    Parameters
    ----------
    motifs
        Motifs as letters, IUPAC codes included, in either case.

    Attributes
    ----------
    motifs
        The distinct motifs in capitals, without their reverse complements.
    next_state
        The state that follows each state and base.
    completes
        Whether a base completes a motif in a state.
    n_remembered
        Number of last bases on which a state can depend: the longest motif less one.

    Raises
    ------
    InputError
        If a motif is empty or has an invalid letter, or the automaton has too many states.

    Source
    ------
    The automaton of Aho and Corasick 1975, Communications of the ACM 18:333. Its states are
    built as bit sets of positions in the motifs, as in Baeza-Yates and Gonnet 1992,
    Communications of the ACM 35:74, so that an IUPAC code costs no more than a base.
    """

    next_state: Int[np.ndarray, "state base"]
    completes: Bool[np.ndarray, "state base"]

    def __init__(self, motifs: Iterable[str]) -> None:
        self.motifs = tuple(dict.fromkeys(_checked(motif) for motif in motifs))
        both = dict.fromkeys(self.motifs)
        both |= dict.fromkeys(DNA.reverse_complement(motif) for motif in self.motifs)
        self.n_remembered = max(map(len, both), default=1) - 1
        # bit i of a state: the last base ends the prefix of a motif up to letter i of `letters`
        letters = "".join(both)
        starts = np.cumsum([0, *map(len, both)]).tolist()
        self._first = reduce(or_, (1 << start for start in starts[:-1]), 0)
        self._last = reduce(or_, (1 << start - 1 for start in starts[1:]), 0)
        self._matches = [
            reduce(or_, (1 << i for i, letter in enumerate(letters) if base in BASES_OF[letter]), 0)
            for base in DNA.bases
        ]
        self._tabulate()

    def __str__(self) -> str:
        return f"{' '.join(self.motifs)} on either strand"

    def _tabulate(self) -> None:
        """Fill the tables by a search over all sets of positions that can be reached."""
        number, pending = {0: 0}, [0]
        next_state: list[list[int]] = []
        completes: list[list[bool]] = []
        for places in pending:  # grows during the loop
            # Shift-And: every match moves on by one position and every motif may begin; keep
            # the positions whose letter matches the base.
            after = [(places << 1 | self._first) & matches for matches in self._matches]
            completes.append([bool(each & self._last) for each in after])
            # drop finished motifs, or the shift would carry them into the next motif
            after = [each & ~self._last for each in after]
            pending += [each for each in dict.fromkeys(after) if each not in number]
            for each in after:
                number.setdefault(each, len(number))
            next_state.append([number[each] for each in after])
            if len(number) > _MOST_STATES:
                raise InputError(
                    f"the motifs {' '.join(self.motifs)} need more than {_MOST_STATES:,} states; "
                    "use fewer motifs or fewer ambiguous letters"
                )
        self.next_state, self.completes = np.array(next_state), np.array(completes)

    def state_after(self, bases: Sequence[int]) -> int:
        """Return the state after bases; A, C, G, T are 0 to 3, larger numbers are unknown."""
        state = 0
        for base in bases[max(0, len(bases) - self.n_remembered) :]:
            state = int(self.next_state[state, base]) if base < _N_BASES else 0
        return state

    def first_end(self, bases: Sequence[int]) -> int | None:
        """Return the index of the first base that completes a motif; None if no base does.

        Parameters
        ----------
        bases
            A, C, G, T as 0 to 3; larger numbers are unknown.

        Examples
        --------
        >>> Motifs(["GAATTC"]).first_end([3, 2, 0, 0, 3, 3, 1, 1])
        6
        """
        state = 0
        for place, base in enumerate(bases):
            if base < _N_BASES and self.completes[state, base]:
                return place
            state = int(self.next_state[state, base]) if base < _N_BASES else 0
        return None


def _checked(motif: str) -> str:
    capitals = motif.strip().upper()
    if not capitals or set(capitals) - BASES_OF.keys():
        raise InputError(
            f"a motif consists of {' '.join(BASES_OF)}, such as GAATTC or TATAWAW; got {motif!r}"
        )
    return capitals
