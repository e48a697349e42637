"""Motifs that shall not occur: an automaton that knows how far each of them has come."""

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
    """Motifs and their reverse complements, followed base by base.

    What the last bases say of all motifs at once is a state. A base leads from a state to
    the next, and completes a motif or not. An unknown base leads back to the first state:
    what is not known is part of no motif.

    Parameters
    ----------
    motifs
        Letters of the alphabet, IUPAC codes too, in either case.

    Attributes
    ----------
    motifs
        In capitals, each once, without the reverse complements.
    next_state
        The state after each state and base.
    completes
        Whether the base completes a motif there.
    n_remembered
        Bases that a state can depend on: one less than the longest motif has.

    Raises
    ------
    InputError
        If a motif is empty or has another letter, or together they make too many states.

    Source
    ------
    The automaton of Aho and Corasick 1975, Communications of the ACM 18:333, but made of
    sets of places in the motifs, as Baeza-Yates and Gonnet 1992, Communications of the ACM
    35:74, hold them in the bits of a number: an IUPAC code then costs no more than a base.
    """

    next_state: Int[np.ndarray, "state base"]
    completes: Bool[np.ndarray, "state base"]

    def __init__(self, motifs: Iterable[str]) -> None:
        self.motifs = tuple(dict.fromkeys(_checked(motif) for motif in motifs))
        both = dict.fromkeys(self.motifs)
        both |= dict.fromkeys(DNA.reverse_complement(motif) for motif in self.motifs)
        self.n_remembered = max(map(len, both), default=1) - 1
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
        """Follow every base from every set of places that can be reached."""
        number, pending = {0: 0}, [0]
        next_state: list[list[int]] = []
        completes: list[list[bool]] = []
        for places in pending:  # which grows on the way
            after = [(places << 1 | self._first) & matches for matches in self._matches]
            completes.append([bool(each & self._last) for each in after])
            after = [each & ~self._last for each in after]
            pending += [each for each in dict.fromkeys(after) if each not in number]
            for each in after:
                number.setdefault(each, len(number))
            next_state.append([number[each] for each in after])
            if len(number) > _MOST_STATES:
                raise InputError(
                    f"the motifs {' '.join(self.motifs)} make more than {_MOST_STATES:,} states; "
                    "take fewer, or fewer ambiguous letters"
                )
        self.next_state, self.completes = np.array(next_state), np.array(completes)

    def state_after(self, bases: Sequence[int]) -> int:
        """Give the state after bases, numbered 0 to 3, anything else being unknown."""
        state = 0
        for base in bases[max(0, len(bases) - self.n_remembered) :]:
            state = int(self.next_state[state, base]) if base < _N_BASES else 0
        return state

    def first_end(self, bases: Sequence[int]) -> int | None:
        """Give the place of the base that first completes a motif; None where none does.

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
            f"a motif is made of {' '.join(BASES_OF)}, as GAATTC or TATAWAW; got {motif!r}"
        )
    return capitals
