"""What a sequence of a given length must be, and which next bases leave a way to its end.

From the end backwards, for each place and each state of the motifs: how many G and C may the
bases that are left have, if none completes a motif and the template stands? A base is allowed
if it is not forbidden by itself and one of these counts brings the whole into the range. So
whoever only takes allowed bases never finds that there is none.

The counts are held as sets, exactly, where that is cheap; else as one unbroken run of them for
each place and state, the longest that is found. A run never promises what cannot be; it may
overlook a count beyond a gap, which there is only where motifs forbid nearly everything. Without
motifs, or without a range, it overlooks nothing.
"""

from collections.abc import Sequence
from math import isqrt

import numpy as np
from jaxtyping import Bool, Int, UInt8

from megabase.errors import InputError
from megabase.genome.alphabet import DNA
from megabase.genome.gc_range import GcRange
from megabase.genome.motif import Motifs
from megabase.genome.vocabulary import DNA_VOCABULARY

_N_BASES = len(DNA.bases)
_IS_GC = [base in "GC" for base in DNA.bases]
_MOST_EXACT = 1 << 34  # bits of all sets together
_NEVER = 1 << 40  # more than any count

_Sets = list[int]
"""Of each state, the counts that are possible, as the bits of a number."""

_Runs = tuple[Int[np.ndarray, " state"], Int[np.ndarray, " state"]]
"""Of each state, the least and the most of a run of counts; least > most where there is none."""


class Constraint:
    """Forbidden motifs, fixed bases and a range of GC, for sequences of one length.

    Parameters
    ----------
    length
        Bases of a sequence, without what stands before it.
    motifs
        What no base of the sequence may complete, the bases before the sequence included.
    gc
        Which fraction of the sequence is G or C; None: any.
    template
        Tokens of `length` bases that are fixed where they are no N; None: all are free.

    Attributes
    ----------
    length, motifs, template
        As given.
    is_exact
        Whether the counts of G and C are held as sets, or lose nothing as runs.

    Raises
    ------
    InputError
        If the template has another length or holds a motif, or no count lies in the range.
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
                f"no number of G and C among {length:,} bases lies in {gc}; widen the range"
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
                "generated; make them the same"
            )
        end = self.motifs.first_end(self._fixed)
        if end is not None:
            raise InputError(
                f"the template holds a forbidden motif, which ends at position {end:,} (counted "
                f"from 0): {self.motifs}; change one of them"
            )

    def start(self, before: UInt8[np.ndarray, " _"]) -> int:
        """Give the state after the tokens of a prompt; an InputError if no way leads on."""
        tail = before[max(0, len(before) - self.motifs.n_remembered) :]
        state = self.motifs.state_after(DNA_VOCABULARY.to_bases(tail).tolist())
        if not self._meets(self._row(0), state, *self._counts):
            seen = "" if self.is_exact else ", as far as the rule for long sequences sees"
            raise InputError(
                f"after {_shown(before)} no {self.length:,} bases have "
                f"{' and '.join(self._asked())}{seen}; loosen one of these"
            )
        return state

    def allowed(self, position: int, state: int, n_gc: int) -> list[bool]:
        """Say of each base whether it may stand at a position.

        Parameters
        ----------
        position
            Bases that the sequence has already.
        state
            Of the motifs, after these.
        n_gc
            How many of these are G or C.
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
        """Whether one of the counts of a state lies within these."""
        if isinstance(row, list):
            wide = most - max(0, least) + 1
            return wide > 0 and bool(row[state] >> max(0, least) & ((1 << wide) - 1))
        return bool(max(least, row[0][state]) <= min(most, row[1][state]))

    def _row(self, position: int) -> _Sets | _Runs:
        """Give the counts at a position; a block of positions is made at a time."""
        block = min(position, self.length - 1) // self._block_length
        if block != self._block[0]:
            first = block * self._block_length
            rows = [self._marks[block + 1]]
            for place in reversed(range(first, min(first + self._block_length, self.length))):
                rows.append(self._before(rows[-1], place))
            self._block = block, rows[::-1]
        return self._block[1][position - block * self._block_length]

    def _look_back(self) -> list[_Sets | _Runs]:
        """Give the counts where each block starts, and at the end."""
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
        """Give the counts before a place from those after it."""
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
                before[state] |= row[after[state]] << _IS_GC[base]
        return before

    def _runs_before(self, row: _Runs, bases: Sequence[int]) -> _Runs:
        """Join the runs of the bases as far as they touch, and keep the longest."""
        after, completes = self.motifs.next_state[:, bases], self.motifs.completes[:, bases]
        is_gc = np.array(_IS_GC, dtype=np.int64)[bases]
        is_dead = completes | (row[0][after] > row[1][after])
        least = np.where(is_dead, _NEVER, row[0][after] + is_gc)
        most = np.where(is_dead, -1, row[1][after] + is_gc)
        order = np.argsort(least, axis=1)
        least, most = np.take_along_axis(least, order, 1), np.take_along_axis(most, order, 1)
        run = best = least[:, 0], most[:, 0]
        for start, end in zip(least.T[1:], most.T[1:], strict=True):
            touches = start <= run[1] + 1
            run = np.where(touches, run[0], start), np.where(touches, np.maximum(run[1], end), end)
            is_longer = run[1] - run[0] > best[1] - best[0]
            best = np.where(is_longer, run[0], best[0]), np.where(is_longer, run[1], best[1])
        return best


class Walk:
    """Sequences that grow side by side within a constraint.

    Parameters
    ----------
    constraint
        What each of them must be.
    prompts
        Tokens that stand before each.

    Raises
    ------
    InputError
        If a prompt leaves no way.
    """

    def __init__(self, constraint: Constraint, prompts: Sequence[UInt8[np.ndarray, " _"]]) -> None:
        self._constraint = constraint
        self._states = [constraint.start(prompt) for prompt in prompts]
        self._n_gc = [0] * len(prompts)
        self._position = 0

    def allowed(self) -> Bool[np.ndarray, "batch base"]:
        """Say of each sequence which bases may come next: at least one."""
        rows = zip(self._states, self._n_gc, strict=True)
        return np.array([self._constraint.allowed(self._position, *row) for row in rows])

    def take(self, bases: Sequence[int]) -> None:
        """Add a base, numbered 0 to 3, to each sequence."""
        table = self._constraint.motifs.next_state
        pairs = zip(self._states, bases, strict=True)
        self._states = [int(table[state, base]) for state, base in pairs]
        self._n_gc = [n + _IS_GC[base] for n, base in zip(self._n_gc, bases, strict=True)]
        self._position += 1


def _shown(before: UInt8[np.ndarray, " _"]) -> str:
    """Give the last letters of a prompt, for a message."""
    if not len(before):
        return "nothing"
    return f"a prompt that ends in {DNA_VOCABULARY.decode(before[-12:])}"
