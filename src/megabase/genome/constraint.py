"""What a generated sequence must be: its GC content, and motifs that must not occur.

A backward dynamic programme computes, for each position and each state of the motif automaton,
the possible numbers of G and C in the remaining bases, given that no motif is completed and the
template is kept. A base is allowed if it completes no motif, agrees with the template, and one
of these numbers brings the total into the GC range. A sequence built from allowed bases
therefore never reaches a dead end.

Where it is cheap, the possible counts are stored exactly, as sets. Otherwise each position and
state stores one interval without gaps (a run), the longest that is found. Every count of a run
is possible, but counts beyond a gap are missed; gaps occur only where motifs forbid almost
everything. Without motifs, or without a GC range, runs miss nothing.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import isqrt
from operator import or_

import numpy as np
from jaxtyping import Bool, Int, UInt8

from megabase.errors import InputError
from megabase.genome.vocabulary import BASES_OF, DNA, DNA_VOCABULARY

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


_FORM = re.compile(r"\s*(\d*\.?\d+)\s*-\s*(\d*\.?\d+)\s*")


@dataclass(frozen=True)
class GcRange:
    """The fractions from `low` to `high`, both included.

    Both are exact fractions, so that 0.1 of 30 bases is exactly 3 bases.
    """

    low: Fraction
    high: Fraction

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(
                f"a GC range lies within 0-1, lower end first; got {self} (40 % is 0.4)"
            )

    @classmethod
    def from_text(cls, text: str) -> "GcRange":
        """Read a range written as LOW-HIGH.

        Raises
        ------
        InputError
            If the text has another form, or the range does not lie within 0-1.

        Examples
        --------
        >>> str(GcRange.from_text("0.4-0.6"))
        '0.4-0.6'
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise InputError(f"a GC range is LOW-HIGH, such as 0.4-0.6; got {text!r}")
        return cls(Fraction(match[1]), Fraction(match[2]))

    def __str__(self) -> str:
        return f"{float(self.low):g}-{float(self.high):g}"

    def counts(self, length: int) -> tuple[int, int]:
        """Return the least and the greatest number of G and C in `length` bases.

        The least is greater than the greatest if no number lies in the range.

        Examples
        --------
        >>> GcRange.from_text("0.1-0.5").counts(30)
        (3, 15)
        """
        return math.ceil(self.low * length), math.floor(self.high * length)


_IS_GC = [base in "GC" for base in DNA.bases]
_MOST_EXACT = 1 << 34  # most bits of all sets together
_NEVER = 1 << 40  # larger than any count

_Sets = list[int]
"""The possible counts of each state, as a bit set: bit n is set if the count n is possible."""

_Runs = tuple[Int[np.ndarray, " state"], Int[np.ndarray, " state"]]
"""The least and the greatest count of each state; least > greatest if no count is possible."""


class Constraint:
    """Forbidden motifs, fixed bases and a GC range, for sequences of one length.

    Parameters
    ----------
    length
        Number of bases of a sequence, without its prompt.
    motifs
        Motifs that no base of the sequence may complete, including those begun in the prompt.
    gc
        Allowed fraction of G and C in the sequence; None allows any.
    template
        Tokens of `length` bases; every base except N is fixed. None fixes no base.

    Attributes
    ----------
    length, motifs, template
        The arguments.
    is_exact
        Whether no possible count of G and C is missed.

    Raises
    ------
    InputError
        If the template has another length or contains a motif, or no count lies in the range.
    """

    def __init__(
        self,
        length: int,
        motifs: Motifs,
        gc: GcRange | None = None,
        template: UInt8[np.ndarray, " _"] | None = None,
    ) -> None:
        self.length, self.motifs, self.template, self._gc = length, motifs, template, gc
        free = np.full(length, DNA_VOCABULARY.unknown_id, dtype=np.uint8)
        self._fixed = DNA_VOCABULARY.to_bases(free if template is None else template).tolist()
        self._check_template()
        self._counts = (0, length) if gc is None else gc.counts(length)
        if self._counts[0] > self._counts[1]:
            raise InputError(
                f"no number of G and C in {length:,} bases gives a GC of {gc}; widen the range"
            )
        n_states = len(motifs.next_state)
        is_simple = gc is None or not motifs.motifs
        self._by_sets = not is_simple and n_states * length**2 <= _MOST_EXACT
        self.is_exact = is_simple or self._by_sets
        self._block_length = max(1, isqrt(length))
        self._marks = self._look_back()
        self._block: tuple[int, list[_Sets | _Runs]] = (-1, [])

    def __str__(self) -> str:
        rule = "" if self.is_exact else "; GC by the rule for long sequences"
        return f"{' and '.join(self._asked())} ({len(self.motifs.next_state):,} states){rule}"

    def _asked(self) -> list[str]:
        return [
            *([f"no {self.motifs}"] if self.motifs.motifs else []),
            *([] if self._gc is None else [f"GC of {self._gc}"]),
            *([] if self.template is None else ["the template"]),
        ]

    def _check_template(self) -> None:
        if len(self._fixed) != self.length:
            raise InputError(
                f"the template has {len(self._fixed):,} letters, and {self.length:,} bases are "
                "generated; use the same length for both"
            )
        end = self.motifs.first_end(self._fixed)
        if end is not None:
            raise InputError(
                f"the template contains a forbidden motif that ends at position {end:,} (counted "
                f"from 0): {self.motifs}; change the template or the motifs"
            )

    def start(self, before: UInt8[np.ndarray, " _"]) -> int:
        """Return the state of the motif automaton after a prompt.

        Parameters
        ----------
        before
            Tokens of the prompt; may be empty.

        Raises
        ------
        InputError
            If no sequence after this prompt meets the constraint.
        """
        tail = before[max(0, len(before) - self.motifs.n_remembered) :]
        state = self.motifs.state_after(DNA_VOCABULARY.to_bases(tail).tolist())
        if not self._meets(self._row(0), state, *self._counts):
            seen = "" if self.is_exact else " (by the approximate rule for long sequences)"
            raise InputError(
                f"after {_shown(before)}, no sequence of {self.length:,} bases meets the "
                f"constraint{seen}: {' and '.join(self._asked())}; relax it"
            )
        return state

    def allowed(self, position: int, state: int, n_gc: int) -> list[bool]:
        """Return for each of A, C, G, T whether it is allowed at a position.

        Parameters
        ----------
        position
            0-based position: the number of bases already generated.
        state
            State of the motif automaton after these bases.
        n_gc
            Number of G and C among these bases.
        """
        fixed, row = self._fixed[position], self._row(position + 1)
        after, completes = self.motifs.next_state[state], self.motifs.completes[state]
        least, most = (count - n_gc for count in self._counts)
        return [
            fixed in (base, _N_BASES)
            and not completes[base]
            and self._meets(row, int(after[base]), least - is_gc, most - is_gc)
            for base, is_gc in enumerate(_IS_GC)
        ]

    def _meets(self, row: _Sets | _Runs, state: int, least: int, most: int) -> bool:
        """Return whether a possible count of a state lies from `least` to `most`."""
        if isinstance(row, list):
            # shift bit `least` to bit 0, then keep the bits of the counts up to `most`
            wide = most - max(0, least) + 1
            return wide > 0 and bool(row[state] >> max(0, least) & ((1 << wide) - 1))
        return bool(max(least, row[0][state]) <= min(most, row[1][state]))

    def _row(self, position: int) -> _Sets | _Runs:
        """Return the counts at a position, recomputing one block of positions at a time.

        Only the counts at block starts are kept. With blocks of about sqrt(length) positions,
        memory grows with sqrt(length), and a block is recomputed when generation enters it.
        """
        # position `length` (the end) belongs to the last block
        block = min(position, self.length - 1) // self._block_length
        if block != self._block[0]:
            first = block * self._block_length
            rows = [self._marks[block + 1]]
            for place in reversed(range(first, min(first + self._block_length, self.length))):
                rows.append(self._before(rows[-1], place))
            self._block = block, rows[::-1]
        return self._block[1][position - block * self._block_length]

    def _look_back(self) -> list[_Sets | _Runs]:
        """Return the counts at the start of each block, and at the end."""
        n_states = len(self.motifs.next_state)
        none = np.zeros(n_states, dtype=np.int64)
        row: _Sets | _Runs = [1] * n_states if self._by_sets else (none, none)
        marks = [row]
        for place in reversed(range(self.length)):
            row = self._before(row, place)
            if place % self._block_length == 0:
                marks.append(row)
        return marks[::-1]

    def _before(self, row: _Sets | _Runs, place: int) -> _Sets | _Runs:
        """Return the counts before a position, from those after it."""
        fixed = self._fixed[place]
        bases = range(_N_BASES) if fixed == _N_BASES else [fixed]
        if isinstance(row, list):
            return self._sets_before(row, bases)
        return self._runs_before(row, bases)

    def _sets_before(self, row: _Sets, bases: Sequence[int]) -> _Sets:
        before = [0] * len(row)
        for base in bases:
            after, completes = self.motifs.next_state[:, base], self.motifs.completes[:, base]
            for state in np.flatnonzero(~completes).tolist():
                # placing G or C raises every count by one: a shift by one bit
                before[state] |= row[after[state]] << _IS_GC[base]
        return before

    def _runs_before(self, row: _Runs, bases: Sequence[int]) -> _Runs:
        """Join runs of the bases that overlap or touch, and keep the longest of each state."""
        after, completes = self.motifs.next_state[:, bases], self.motifs.completes[:, bases]
        is_gc = np.array(_IS_GC, dtype=np.int64)[bases]
        # an impossible base gets an empty run [_NEVER, -1], which sorts last and touches nothing
        is_dead = completes | (row[0][after] > row[1][after])
        least = np.where(is_dead, _NEVER, row[0][after] + is_gc)
        most = np.where(is_dead, -1, row[1][after] + is_gc)
        order = np.argsort(least, axis=1)
        least, most = np.take_along_axis(least, order, 1), np.take_along_axis(most, order, 1)
        # merge intervals in the order of their starts, for all states at once
        run = best = least[:, 0], most[:, 0]
        for start, end in zip(least.T[1:], most.T[1:], strict=True):
            touches = start <= run[1] + 1
            run = np.where(touches, run[0], start), np.where(touches, np.maximum(run[1], end), end)
            is_longer = run[1] - run[0] > best[1] - best[0]
            best = np.where(is_longer, run[0], best[0]), np.where(is_longer, run[1], best[1])
        return best


class ConstrainedBatch:
    """A batch of sequences that grow base by base within a constraint.

    Parameters
    ----------
    constraint
        The constraint on every sequence.
    prompts
        Tokens of the prompt of each sequence.

    Raises
    ------
    InputError
        If no sequence after one of the prompts meets the constraint.
    """

    def __init__(self, constraint: Constraint, prompts: Sequence[UInt8[np.ndarray, " _"]]) -> None:
        self._constraint = constraint
        self._states = [constraint.start(prompt) for prompt in prompts]
        self._n_gc = [0] * len(prompts)
        self._position = 0

    def allowed(self) -> Bool[np.ndarray, "batch base"]:
        """Return for each sequence which bases are allowed next; at least one is."""
        rows = zip(self._states, self._n_gc, strict=True)
        return np.array([self._constraint.allowed(self._position, *row) for row in rows])

    def take(self, bases: Sequence[int]) -> None:
        """Append a base to each sequence; A, C, G, T are 0, 1, 2, 3."""
        table = self._constraint.motifs.next_state
        pairs = zip(self._states, bases, strict=True)
        self._states = [int(table[state, base]) for state, base in pairs]
        self._n_gc = [n + _IS_GC[base] for n, base in zip(self._n_gc, bases, strict=True)]
        self._position += 1


def _shown(before: UInt8[np.ndarray, " _"]) -> str:
    """Describe a prompt by its last letters, for a message."""
    if not len(before):
        return "an empty prompt"
    return f"a prompt that ends in {DNA_VOCABULARY.decode(before[-12:])}"
