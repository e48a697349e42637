"""The interpolated Markov model that stands beside every likelihood."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from megabase.measure.words import N_BASES, Bases, context_codes, known_before, word_codes

_SMOOTHINGS = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)
"""Candidates for how many observations the shorter context is worth."""

_N_BLOCKS, _EVERY = 100, 10  # blocks of a genome, and which of them the choice is made on
_MOST_OF_A_BLOCK = 1 << 17  # bases of a held block that the choice is made on
_ENTRIES_PER_BASE = 32  # of a table that is worth its memory
_PIECE = 1 << 24  # bases counted at once


@dataclass(frozen=True)
class MarkovModel:
    r"""Predict each base from the few before it, at every order up to the last.

    .. math:: p_k(y \mid c) = \frac{n_k(c\,y) + a_k\, p_{k-1}(y \mid c)}{n_k(c) + a_k}
       :label: interpolated-markov

    with :math:`p_{-1} = 1/4`, c the k bases before y, and the counts n of both strands.

    Parameters
    ----------
    counts
        For each order k, how often each base (column) follows each context (row).
    smoothing
        For each order k, :math:`a_k`.

    Source
    ------
    Interpolation by counts: Jelinek & Mercer 1980; MacKay & Bauman Peto 1995, "A
    hierarchical Dirichlet language model", Natural Language Engineering 1:289, Eq. (19).
    """

    counts: tuple[Float[np.ndarray, "_ 4"], ...]
    smoothing: tuple[float, ...]

    @property
    def order(self) -> int:
        """How many bases back the model looks."""
        return len(self.smoothing) - 1

    def log_probabilities(self, bases: Bases) -> Float[np.ndarray, " length"]:
        """Give ln p of each base given those before it; NaN where it is none of A C G T.

        A base with fewer known bases before it than the order is predicted from these.
        """
        words = _Words(bases, self.order)
        p = np.full(len(bases), 1 / N_BASES)
        for k, (counts, smoothing) in enumerate(zip(self.counts, self.smoothing, strict=True)):
            p = words.lookup(counts, k).interpolate(p, smoothing)
        return np.where(bases < N_BASES, np.log(p), np.nan)


def fit_markov(stretches: Sequence[Bases], *, max_order: int = 12) -> MarkovModel:
    """Choose order and smoothing on one tenth of a genome, then count the whole of it.

    Parameters
    ----------
    stretches
        What may be learned from; each is counted on both strands.
    max_order
        The highest order tried. An order is passed over too if its table has more than
        32 entries for each base.

    Notes
    -----
    The tenth is every tenth of a hundred blocks, so that it is like the rest; of a large
    genome the choice is made on the first 131,072 bases of each of these. For each
    order in turn the smoothing that spends the fewest bits there is kept, and of all
    orders the best. Lower orders are summed from the highest, so that a word at the
    very end of a stretch counts on one strand only.
    """
    n_bases = sum(map(len, stretches))
    while max_order > 0 and N_BASES ** (max_order + 1) > _ENTRIES_PER_BASE * n_bases:
        max_order -= 1
    blocks = list(_blocks(stretches, max(1, n_bases // _N_BLOCKS)))
    tenth = [block[:_MOST_OF_A_BLOCK] for block in blocks[_EVERY // 2 :: _EVERY]]
    held = tenth if any((block < N_BASES).any() for block in tenth) else blocks
    rest = [block for i, block in enumerate(blocks) if i % _EVERY != _EVERY // 2] or blocks
    smoothing = _choose(_count(rest, max_order), held)
    return MarkovModel(_count(stretches, len(smoothing) - 1), smoothing)


def _blocks(stretches: Iterable[Bases], size: int) -> Iterator[Bases]:
    for bases in stretches:
        for start in range(0, len(bases), size):
            yield bases[start : start + size]


def _choose(counts: tuple[np.ndarray, ...], validation: Sequence[Bases]) -> tuple[float, ...]:
    """Give the smoothing of each order up to the best one."""
    stretches = [_Words(bases, len(counts) - 1) for bases in validation]
    known = np.concatenate(validation) < N_BASES
    best = [np.full(len(bases), 1 / N_BASES) for bases in validation]
    chosen: list[float] = []
    bits: list[float] = []
    for k, table in enumerate(counts):
        found = [words.lookup(table, k) for words in stretches]
        tried = {
            a: [followers.interpolate(p, a) for followers, p in zip(found, best, strict=True)]
            for a in _SMOOTHINGS
        }
        loss = {a: -np.log2(np.concatenate(p)[known]).mean() for a, p in tried.items()}
        chosen.append(min(loss, key=lambda a: loss[a]))
        bits.append(loss[chosen[-1]])
        best = tried[chosen[-1]]
    return tuple(chosen[: int(np.argmin(bits)) + 1])


class _Followers(NamedTuple):
    """At each position: how often its context was seen, and its base after it."""

    is_known: np.ndarray
    n_context: np.ndarray
    n_base: np.ndarray

    def interpolate(self, p: np.ndarray, smoothing: float) -> Float[np.ndarray, " length"]:
        """Refine the probability of the order below, Eq. interpolated-markov."""
        refined = (self.n_base + smoothing * p) / (self.n_context + smoothing)
        return np.where(self.is_known, refined, p)


class _Words:
    """A stretch of bases with the code of the context before each."""

    def __init__(self, bases: Bases, order: int) -> None:
        self._base = np.minimum(bases, N_BASES - 1)[:, None].astype(np.int64)
        self._context = context_codes(bases, order)
        self._n_known = known_before(bases, order)

    def lookup(self, counts: np.ndarray, k: int) -> _Followers:
        """Find each position in the counts of order k."""
        rows = counts[self._context & (N_BASES**k - 1)]
        n_base = np.take_along_axis(rows, self._base, axis=1)[:, 0]
        return _Followers(self._n_known >= k, rows.sum(axis=1), n_base)


def _count(stretches: Iterable[Bases], order: int) -> tuple[np.ndarray, ...]:
    """Count what follows each context of each order from 0 up, on both strands."""
    counts = np.zeros(N_BASES ** (order + 1), dtype=np.float32)
    for words in _batches_of_words(stretches, order):
        counts += np.bincount(words, minlength=len(counts))
    counts = counts + _of_other_strand(counts, order + 1)
    orders = [counts.reshape(-1, N_BASES)]
    while len(orders) <= order:  # forget the base furthest back
        orders.append(orders[-1].reshape(N_BASES, -1, N_BASES).sum(axis=0))
    return tuple(reversed(orders))


def _batches_of_words(stretches: Iterable[Bases], order: int) -> Iterator[Int[np.ndarray, " word"]]:
    """Number all words of ``order + 1`` known bases, many at a time."""
    batch: list[np.ndarray] = []
    n_words = 0
    for bases in (piece for stretch in stretches for piece in _pieces(stretch, order)):
        batch.append(word_codes(bases, order + 1)[0])
        n_words += len(batch[-1])
        if n_words >= _PIECE:
            yield np.concatenate(batch)
            batch, n_words = [], 0
    if batch:
        yield np.concatenate(batch)


def _pieces(bases: Bases, order: int) -> Iterator[Bases]:
    """Cut a stretch into pieces that overlap by a context, to bound memory."""
    for start in range(0, len(bases), _PIECE):
        yield bases[max(0, start - order) : start + _PIECE]


def _of_other_strand(counts: np.ndarray, length: int) -> np.ndarray:
    """Give the counts of all words on the other strand: digits reversed, each complemented."""
    digits = counts.reshape((N_BASES,) * length).transpose(range(length - 1, -1, -1))
    return digits.reshape(-1)[::-1]
