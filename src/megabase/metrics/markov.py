"""The interpolated Markov model, the baseline of every likelihood."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from megabase.metrics.kmers import N_BASES, Bases, context_codes, known_before, word_codes

_SMOOTHINGS = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)
"""Candidate weights of the shorter context, in observations."""

_N_BLOCKS, _EVERY = 100, 10  # a genome has 100 blocks; every tenth is held out for the choice
_MOST_OF_A_BLOCK = 1 << 17  # most bases used of a held-out block
_ENTRIES_PER_BASE = 32  # most entries of a table per base of the genome
_PIECE = 1 << 24  # bases counted at once


@dataclass(frozen=True)
class MarkovModel:
    r"""Predict each base from the bases before it, interpolating all orders up to the last.

    .. math:: p_k(y \mid c) = \frac{n_k(c\,y) + a_k\, p_{k-1}(y \mid c)}{n_k(c) + a_k}
       :label: interpolated-markov

    with :math:`p_{-1} = 1/4`, c the k bases before y, and the counts n of both strands.

    Parameters
    ----------
    counts
        For each order k, the number of times each base (column) follows each context (row).
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
        """The longest context of the model in bases."""
        return len(self.smoothing) - 1

    def log_probabilities(self, bases: Bases) -> Float[np.ndarray, " length"]:
        """Return ln p of each base given those before it; NaN for an unknown base.

        A base with fewer known bases before it than the order is predicted from those alone.
        """
        words = _Words(bases, self.order)
        p = np.full(len(bases), 1 / N_BASES)
        for k, (counts, smoothing) in enumerate(zip(self.counts, self.smoothing, strict=True)):
            p = words.lookup(counts, k).interpolate(p, smoothing)
        return np.where(bases < N_BASES, np.log(p), np.nan)


def fit_markov(stretches: Sequence[Bases], *, max_order: int = 12) -> MarkovModel:
    """Choose order and smoothing on a tenth of a genome, then count the whole genome.

    Parameters
    ----------
    stretches
        Training sequences; each is counted on both strands.
    max_order
        The highest order tried. Orders whose table has more than 32 entries per base are
        skipped.

    Notes
    -----
    The genome is cut into about a hundred blocks and every tenth is held out, so that the
    held-out tenth resembles the rest; at most 131,072 bases of each block are used. For each
    order in turn the smoothing with the fewest bits there is kept, and of all orders the best.
    Lower orders are summed from the highest, so that a word at the very end of a sequence
    counts on one strand only.
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
    """Return the smoothing of each order up to the best order."""
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
    """The counts, at each position, of its context and of its base after this context."""

    is_known: np.ndarray
    n_context: np.ndarray
    n_base: np.ndarray

    def interpolate(self, p: np.ndarray, smoothing: float) -> Float[np.ndarray, " length"]:
        """Compute the probability of an order from that of the order below it.

        See Eq. interpolated-markov.
        """
        refined = (self.n_base + smoothing * p) / (self.n_context + smoothing)
        return np.where(self.is_known, refined, p)


class _Words:
    """A sequence of bases with the code of the context before each."""

    def __init__(self, bases: Bases, order: int) -> None:
        self._base = np.minimum(bases, N_BASES - 1)[:, None].astype(np.int64)
        self._context = context_codes(bases, order)
        self._n_known = known_before(bases, order)

    def lookup(self, counts: np.ndarray, k: int) -> _Followers:
        """Look up each position in the counts of order k."""
        # the nearest base is the lowest digit: the lowest k digits are the context of order k
        rows = counts[self._context & (N_BASES**k - 1)]
        n_base = np.take_along_axis(rows, self._base, axis=1)[:, 0]
        return _Followers(self._n_known >= k, rows.sum(axis=1), n_base)


def _count(stretches: Iterable[Bases], order: int) -> tuple[np.ndarray, ...]:
    """Count the bases after each context of each order from 0 to `order`, on both strands."""
    counts = np.zeros(N_BASES ** (order + 1), dtype=np.float32)
    for words in _batches_of_words(stretches, order):
        counts += np.bincount(words, minlength=len(counts))
    counts = counts + _of_other_strand(counts, order + 1)
    orders = [counts.reshape(-1, N_BASES)]
    while len(orders) <= order:  # sum over the furthest base of the context
        orders.append(orders[-1].reshape(N_BASES, -1, N_BASES).sum(axis=0))
    return tuple(reversed(orders))


def _batches_of_words(stretches: Iterable[Bases], order: int) -> Iterator[Int[np.ndarray, " word"]]:
    """Yield the codes of all words of ``order + 1`` known bases, in large batches."""
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
    """Yield pieces of a sequence that overlap by a context, to bound memory."""
    for start in range(0, len(bases), _PIECE):
        yield bases[max(0, start - order) : start + _PIECE]


def _of_other_strand(counts: np.ndarray, length: int) -> np.ndarray:
    """Return the counts of all words on the other strand.

    Transposing reverses the digits of a word; reversing the flat array complements each digit d
    to 3 - d.
    """
    digits = counts.reshape((N_BASES,) * length).transpose(range(length - 1, -1, -1))
    return digits.reshape(-1)[::-1]
