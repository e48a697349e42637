r"""Memory: counts and pointers of the letters read so far, as features of the next letter.

A filter that does not depend on the data cannot look anything up. A memory can: it stores every
letter :math:`x_0, \dots, x_t` of one strand, and describes what followed in earlier places that
look like the present. Nothing in it is learned except the table :math:`\rho` below, its cost per
letter is constant, and no feature depends on a later letter.

**Counts.** Let :math:`c_k(t) = x_{t-k+1} \dots x_t`. For each order :math:`k` and letter
:math:`b`,

.. math:: N_k(t, b) = \#\{u < t : c_k(u) = c_k(t),\; x_{u+1} = b\}
          + \#\{u \le t : \overline{c_k(u)} = c_k(t),\; \bar x_{u-k} = b\}
   :label: memory-counts

where a bar is the complement, or the reverse complement of a string: the second term counts the
other strand. Above order 6 a count saturates at 2^20 - 1. The features of an order are

.. math:: \ell_k(t, b) = \log \frac{4\,(N_k(t, b) + a_k)}{N_k(t) + 4 a_k}
          \quad (0 \text{ if } N_k(t) = 0), \qquad 0.3 \log(1 + N_k(t)),

with :math:`N_k(t) = \sum_b N_k(t, b)` and :math:`a_k` = 1 (up to order 11), 1/4 (12 and 13) or
1/16, and its two *recent code lengths*: the means, over the last 8 and the last 64 letters, of
:math:`-\ell_k(u-1, x_u)`, in nats more than a uniform guess.

**Pointers.** A pointer is an alignment of the present with an earlier place: the pair of positions
:math:`(t - i, q - 1 - i)` on the same strand, or :math:`(t - i, q + 1 + i)` on the other, for
:math:`i = 0, 1, \dots`, of which the second is the earlier. It predicts the letter :math:`x_q`, or
its complement, and then moves by one. Its *hits* are the pairs among :math:`i < 32` that agree. At
each letter, the most recent `n_recent` occurrences of each seed :math:`c_k(t)`, on each strand, are
*found* if at least `n_agreeing` of the 32 pairs agree, or all of the last `n_exact`. A pointer is
followed until fewer than `n_right` of its last 16 pairs agree, or it was last found more than
`life` letters ago, or its next letter is unknown; if there would be more than `n_pointers`, those
found longest ago are dropped.
The features of the pointers are, where :math:`\rho` is the log-odds, against a guess of 1/4 among
four, of a pointer with given hits (their number, and which of the last four),

.. math:: 0.2 \sum_{p \to b} \rho_p, \qquad \max(0, \max_{p \to b} \rho_p), \qquad
          \log(1 + \#\{p \to b\}), \qquad \tfrac12 \log(1 + \max_{p \to b} e_p)

for each letter :math:`b`, over the pointers that predict it, where :math:`e_p` is the number of
pairs that agree without a gap (at most 255); and the mean code length, over the last 16 letters, of
the softmax of the second, :math:`\log(1 + n)` of all pointers, and the logarithm of the longest
:math:`e_p` plus 1.

An unknown letter interrupts: contexts and pointers do not cross it, and its own features are 0.
Every feature at :math:`t` depends only on pointers found in the last `life` + 64 letters, so that
pointers need not be followed long before a letter whose features are wanted.

A memory may begin after a `MemoryBase`: letters that were read before, once, for many memories. It
is then a memory that has read these letters, of which those in *gaps* are unknown. With gaps, the
occurrences of a sequence that is itself part of the base do not count.

`PlainMemory` is the
definition in Python; `NativeMemory` is `native_memory.c`, compiled at first use. Both count in
integers until a feature is written, so results do not depend on how a sequence is cut into parts.
"""

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float16, Int64, UInt8

from megabase.errors import InputError

UNKNOWN = 4
"""The number of an unknown letter; A, C, G and T are 0 to 3, so that 3 - b is the complement."""

PER_ORDER, PER_POINTERS = 7, 19
"""Features of each order of counts, and of all pointers together."""

N_HITS, N_RECENT_HITS = 33, 16
"""Rows and columns of the table of log-odds: hits among 32, and the outcomes of the last four."""

FRONT = 32
"""Unknown letters in the arrays of a memory before the first, and at the end of a base."""

_SPARE, _ENTRY = 16, 16  # bytes after packed letters, and of an entry of a hashed table
_MOST_COUNT = (1 << 20) - 1
_MOST_EXACT_COUNT = (1 << 32) - 1
_EXACT_COUNTS = 6  # the highest order with these
_SHORT, _LONG, _SET = 8, 64, 16  # letters of the averages of code lengths
_LONGEST = 255
_UNIT = 1024  # fixed point, per nat
_WORD = 32  # pairs of a pointer that are looked at
LIMITS = ("n_pointers", "n_recent", "n_agreeing", "n_exact", "n_right", "life")
"""Fields of `MemoryRules` that are single numbers."""

Letters = UInt8[np.ndarray, " length"]
Features = Float16[np.ndarray, "row feature"]
Rows = UInt8[np.ndarray, "row length"]
RowFeatures = Float16[np.ndarray, "row length feature"]
Odds = Float[np.ndarray, "hits recent"]


@dataclass(frozen=True)
class MemoryRules:
    """What is counted, and which pointers are followed.

    Attributes
    ----------
    orders
        Lengths k of the contexts whose next letters are counted, 1 to 24.
    pointer_orders
        Lengths of the seeds with which pointers are found, 8 to 24.
    n_pointers
        The most pointers followed at once.
    n_recent
        Occurrences of a seed that are looked at, on each strand.
    n_agreeing, n_exact
        Pairs that must agree for a pointer to be found: so many of the last 32, or all of the last
        `n_exact`, up to 32.
    n_right
        Pairs that must agree, of the last 16, for a pointer to be followed further.
    life
        Letters after which a pointer must have been found again.
    """

    orders: tuple[int, ...] = ()
    pointer_orders: tuple[int, ...] = ()
    n_pointers: int = 128
    n_recent: int = 16
    n_agreeing: int = 20
    n_exact: int = 32
    n_right: int = 8
    life: int = 2000

    @property
    def n_features(self) -> int:
        """Number of features of a letter."""
        return PER_ORDER * len(self.orders) + (PER_POINTERS if self.pointer_orders else 0)


Gaps = Sequence[tuple[int, int]]
"""Start and end of parts of a base, sorted and apart, whose letters count as unknown."""


@dataclass(frozen=True, eq=False)
class MemoryBase:
    """Letters that were read before memories begin, and what is known of them.

    Attributes
    ----------
    orders, pointer_orders
        As in `MemoryRules`; memories that begin after the base may use some of them.
    n_letters
        Letters, of which the last `FRONT` are unknown.
    arrays
        The arrays of `native_memory.c`: letters with `FRONT` unknown ones before, packed letters
        and known letters; a table for each order; heads and links of the chains of each seed.
    count_bytes
        Bytes of a count in the table of each order: 4 or 2, or 0 if the table is hashed.
    """

    orders: tuple[int, ...]
    pointer_orders: tuple[int, ...]
    n_letters: int
    arrays: tuple[np.ndarray, ...]
    count_bytes: tuple[int, ...]

    @property
    def letters(self) -> Letters:
        """The numbers of the letters."""
        return self.arrays[0][FRONT:]

    def is_consistent(self) -> bool:
        """Return whether the sizes of the arrays are those of the letters, orders and seeds."""
        n, sizes = self.n_letters, [array.nbytes for array in self.arrays]
        if len(sizes) != 3 + len(self.orders) + 2 * len(self.pointer_orders):
            return False
        texts, tables, chains = sizes[:3], sizes[3:], sizes[3 + len(self.orders) :]
        return (
            texts == [n + FRONT, -(-(n + FRONT) // 4) + _SPARE, -(-(n + FRONT) // 8) + _SPARE]
            and n >= FRONT
            and bool((self.letters[-FRONT:] == UNKNOWN).all())
            and len(self.count_bytes) == len(self.orders)
            and all(
                size == 4**k * 4 * of_count if of_count else _is_power(size // _ENTRY)
                for k, of_count, size in zip(self.orders, self.count_bytes, tables, strict=False)
            )
            and all(_is_power(size // 4) for size in chains[::2])
            and all(size == 4 * n for size in chains[1::2])
        )

    def check(self, rules: MemoryRules) -> None:
        """Raise an InputError unless memories with these rules can begin after the base."""
        for what, ours, theirs in (
            ("orders", self.orders, rules.orders),
            ("pointer orders", self.pointer_orders, rules.pointer_orders),
        ):
            if missing := sorted(set(theirs) - set(ours)):
                raise InputError(
                    f"the model counts {what} {list(theirs)}, and the index has {list(ours)}: "
                    f"{missing} are missing; make an index for this model"
                )


class Memory(ABC):
    """The letters read so far, and what is known of them."""

    rules: MemoryRules

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, letters: Letters, wanted: Bool[np.ndarray, " length"] | None = None) -> Features:
        """Append letters, and return the features after each, or after those that are wanted.

        Parameters
        ----------
        letters
            Numbers of letters.
        wanted
            True where a row is returned; None: everywhere.
        """

    @abstractmethod
    def remember(self, letters: Letters) -> None:
        """Append letters without returning features."""

    @abstractmethod
    def copy(self) -> "Memory":
        """Return an independent copy."""

    @abstractmethod
    def base(self) -> MemoryBase:
        """Return what was read as a base; this memory must not read more.

        The last `FRONT` letters must be unknown.
        """

    def read_by_copies(self, letters: Rows) -> RowFeatures:
        """Return the features of rows of letters, each read by a copy; this memory is unchanged."""
        return np.stack([self.copy().read(row) for row in letters])


def default_odds() -> Odds:
    """Return log-odds for hits of 0 to 32, before they are fitted: p = 1/4 + 0.73 (hits/32)^2."""
    p = 0.25 + 0.73 * (np.arange(N_HITS) / _WORD) ** 2
    return np.repeat(_odds_of(p)[:, None], N_RECENT_HITS, axis=1)


def fitted_odds(outcomes: Int64[np.ndarray, "hits recent two"], *, prior: float = 4.0) -> Odds:
    """Return the log-odds of pointers whose predictions were counted.

    Parameters
    ----------
    outcomes
        Numbers of right and wrong predictions, from `NativeMemory.outcomes`.
    prior
        Weight, in predictions, of the default.
    """
    right, wrong = outcomes[..., 0], outcomes[..., 1]
    default = 0.25 + 0.73 * (np.arange(N_HITS) / _WORD)[:, None] ** 2
    return _odds_of((right + prior * default) / (right + wrong + prior))


def _odds_of(p: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.log(3 * p / (1 - p))


def fixed_odds(values: Odds) -> np.ndarray:
    """Return log-odds in fixed point, 1,024 to a nat."""
    return np.round(np.asarray(values, dtype=np.float64) * _UNIT).astype(np.int32)


def prior_of(order: int) -> float:
    """Return the pseudocount of an order."""
    return 1.0 if order <= 11 else 0.25 if order <= 13 else 0.0625


class PlainMemory(Memory):
    """The definition in plain Python; it takes about a millisecond per letter in a repeat.

    Parameters
    ----------
    rules
        What is counted and followed.
    odds
        Log-odds of pointers.
    base, gaps
        What was read before, and the parts of it that count as unknown.
    """

    def __init__(
        self, rules: MemoryRules, odds: Odds, base: MemoryBase | None = None, gaps: Gaps = ()
    ) -> None:
        self.rules = rules
        self._odds = fixed_odds(odds)
        self._letters: list[int] = []
        self._counts = [defaultdict(_no_counts) for _ in rules.orders]
        self._ends = [defaultdict(list[int]) for _ in rules.pointer_orders]
        self._found: dict[tuple[bool, int], tuple[int, int]] = {}  # alignment -> when last found
        self._start = 0  # of the letters since the last unknown one
        self._costs = [[0] * _LONG for _ in rules.orders]
        self._set_costs = [0] * _SET
        self._log_p = [(0.0,) * 4 for _ in rules.orders]
        self._set_log_p = (0.0,) * 4
        if base is not None:
            letters = np.array(base.letters)
            for start, end in gaps:
                letters[start:end] = UNKNOWN
            self.remember(letters)

    def __len__(self) -> int:
        return len(self._letters)

    def read(self, letters: Letters, wanted: Bool[np.ndarray, " length"] | None = None) -> Features:
        """Append letters, and return the features after each, or after those that are wanted."""
        rows = [self._read(int(letter)) for letter in letters]
        features = np.array(rows, dtype=np.float16).reshape(len(letters), self.rules.n_features)
        return features if wanted is None else features[wanted]

    def remember(self, letters: Letters) -> None:
        """Append letters without returning features."""
        self.read(letters)

    def _read(self, letter: int) -> list[float]:
        x, t = self._letters, len(self._letters)
        x.append(letter)
        if letter >= UNKNOWN:
            self._start = t + 1
            self._found.clear()
            self._costs = [[0] * _LONG for _ in self._costs]
            self._set_costs = [0] * _SET
            self._log_p = [(0.0,) * 4 for _ in self._log_p]
            self._set_log_p = (0.0,) * 4
            return [0.0] * self.rules.n_features
        for costs, log_p in zip(self._costs, self._log_p, strict=True):
            costs.append(round(-log_p[letter] * _UNIT))
        self._set_costs.append(round(-self._set_log_p[letter] * _UNIT))
        self._count(t)
        self._follow(t)
        return [*self._count_features(t), *self._pointer_features(t)]

    def copy(self) -> "PlainMemory":
        """Return an independent copy."""
        return deepcopy(self)

    def base(self) -> MemoryBase:
        """Return what was read as a base, whose only array is that of its letters."""
        letters = np.array([UNKNOWN] * FRONT + self._letters, dtype=np.uint8)
        rules = self.rules
        return MemoryBase(rules.orders, rules.pointer_orders, len(self), (letters,), ())

    # -- counts ---------------------------------------------------------------------------

    def _context(self, t: int, k: int) -> tuple[int, ...] | None:
        """Return c_k(t), or None if it would contain an unknown letter."""
        return tuple(self._letters[t + 1 - k : t + 1]) if t + 1 - k >= self._start else None

    def _count(self, t: int) -> None:
        x = self._letters
        for k, counts in zip(self.rules.orders, self._counts, strict=True):
            if (context := self._context(t - 1, k)) is not None:
                most = _MOST_EXACT_COUNT if k <= _EXACT_COUNTS else _MOST_COUNT
                _add(counts[context], x[t], most)
                _add(counts[_reverse_complement(x[t + 1 - k : t + 1])], 3 - x[t - k], most)

    def _count_features(self, t: int) -> list[float]:
        features: list[float] = []
        for i, k in enumerate(self.rules.orders):
            context = self._context(t, k)
            n = self._counts[i].get(context, [0] * 4) if context is not None else [0] * 4
            self._log_p[i] = _log_probabilities(n, prior_of(k))
            costs = self._costs[i]
            features += [*self._log_p[i], 0.3 * math.log1p(sum(n))]
            features += [sum(costs[-m:]) / (_UNIT * m) for m in (_SHORT, _LONG)]
        return features

    # -- pointers -------------------------------------------------------------------------

    def _place(self, t: int, alignment: tuple[bool, int]) -> int:
        """Return the place whose letter an alignment predicts after t."""
        is_inverted, key = alignment
        return key - t if is_inverted else t - key

    def _agrees(self, t: int, alignment: tuple[bool, int], i: int) -> bool:
        """Return whether pair i of an alignment exists and agrees."""
        is_inverted, _ = alignment
        place, x = self._place(t, alignment), self._letters
        ours, theirs = t - i, place + 1 + i if is_inverted else place - 1 - i
        if not 0 <= theirs < ours or ours < self._start or x[theirs] >= UNKNOWN:
            return False
        return x[ours] == (3 - x[theirs] if is_inverted else x[theirs])

    def _hits(self, t: int, alignment: tuple[bool, int]) -> list[bool]:
        return [self._agrees(t, alignment, i) for i in range(_WORD)]

    def _predicted(self, t: int, alignment: tuple[bool, int]) -> int | None:
        place = self._place(t, alignment)
        if place < 0 or self._letters[place] >= UNKNOWN:
            return None
        return 3 - self._letters[place] if alignment[0] else self._letters[place]

    def _follow(self, t: int) -> None:
        rules = self.rules
        self._found = {
            alignment: when
            for alignment, when in self._found.items()
            if self._predicted(t, alignment) is not None
            and sum(self._hits(t, alignment)[:16]) >= rules.n_right
            and when[0] >= t - rules.life
        }
        n = 0
        for k, ends in zip(rules.pointer_orders, self._ends, strict=True):
            seed = self._context(t, k)
            if seed is None:
                continue
            for is_inverted in (False, True):
                same = ends.get(_reverse_complement(seed) if is_inverted else seed, [])
                for e in same[: -rules.n_recent - 1 : -1]:
                    place = e - k if is_inverted else e + 1
                    alignment = (is_inverted, t + place if is_inverted else t - place)
                    if self._predicted(t, alignment) is None:
                        continue
                    hits = self._hits(t, alignment)
                    if sum(hits) >= rules.n_agreeing or all(hits[: rules.n_exact]):
                        self._found[alignment] = (t, n)
                        n += 1
                        if len(self._found) > rules.n_pointers:
                            del self._found[min(self._found, key=self._found.__getitem__)]
            ends[seed].append(t)

    def _exact(self, t: int, alignment: tuple[bool, int]) -> int:
        n = 0
        while n < _LONGEST and self._agrees(t, alignment, n):
            n += 1
        return n

    def _pointer_features(self, t: int) -> list[float]:
        if not self.rules.pointer_orders:
            return []
        sums, most, number, exact = ([0] * 4 for _ in range(4))
        for alignment in self._found:
            b = self._predicted(t, alignment)
            assert b is not None  # noqa: S101 _follow has dropped the others
            hits = self._hits(t, alignment)
            odds = int(self._odds[sum(hits), sum(8 >> i for i in range(4) if hits[i])])
            sums[b] += odds
            most[b] = max(most[b], odds)
            number[b] += 1
            exact[b] = max(exact[b], self._exact(t, alignment))
        best = [odds / _UNIT for odds in most]
        whole = math.log(sum(map(math.exp, best))) - math.log(4)
        self._set_log_p = tuple(odds - whole if self._found else 0.0 for odds in best)
        return [
            *(0.2 * total / _UNIT for total in sums),
            *best,
            *map(math.log1p, number),
            *(0.5 * math.log1p(length) for length in exact),
            sum(self._set_costs[-_SET:]) / (_UNIT * _SET),
            math.log1p(len(self._found)),
            math.log1p(max(exact)),
        ]


def _is_power(n: int) -> bool:
    return n > 0 and n & (n - 1) == 0


def _no_counts() -> list[int]:
    return [0, 0, 0, 0]


def _add(counts: list[int], letter: int, most: int) -> None:
    counts[letter] += counts[letter] < most


def _reverse_complement(context: Sequence[int]) -> tuple[int, ...]:
    return tuple(3 - letter for letter in reversed(context))


def _log_probabilities(n: list[int], prior: float) -> tuple[float, ...]:
    total = sum(n)
    if not total:
        return (0.0,) * 4
    whole = math.log(total + 4 * prior) - math.log(4)
    return tuple(math.log(count + prior) - whole for count in n)
