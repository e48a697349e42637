"""The evidence that context helps: what more of it gains, and what a model can recall."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from megabase.data.token_store import TokenStore
from megabase.data.window_sampler import spread_windows
from megabase.errors import InputError
from megabase.evaluation.perplexity import AtPosition, Bits, mean_bits, position_edges
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import TokenArray
from megabase.inference.predictor import Predictor
from megabase.measure.ladder import doubling
from megabase.run.log import Meter, progress

_log = logging.getLogger(__name__)

_SHORTEST = 64  # bases of the shortest context that is tried
_MOST_TARGETS = 1024  # bases at the end of a window
_MOST_COPIED = 128  # bases of a segment that is repeated


@dataclass(frozen=True)
class AtDistance:
    """What the same bases cost in two conditions.

    Parameters
    ----------
    distance
        In bases: see each list of `ContextReport`.
    bits, control
        Bits per base of the targets, and of the same targets in the control.
    difference
        Control minus bits, window by window: above 0 where the model uses what the
        control lacks.
    """

    distance: int
    bits: Bits
    control: Bits
    difference: Bits


@dataclass(frozen=True)
class ContextReport:
    """How a model's bits per base depend on the context that it is given.

    Parameters
    ----------
    by_position
        Bits by the position in the window.
    gain
        The last bases of each window after `distance` bases of context; the control has
        the 64 nearest only.
    doubled
        The same bases after the same contexts, each beside the next shorter one as its control:
        below 0 where more context makes the model worse.
    whole
        The same bases after the whole context; the control has the nearest `distance` bases.
    shuffled
        The same bases after the whole context; in the control what lies further back
        than `distance` is permuted, so that its composition stays.
    recall
        The second copy of a segment that ended `distance` bases before; in the control
        another segment stood in the place of the first copy.
    context_length, n_windows, n_targets, n_copied
        Bases of a window; windows; targets of each; bases of the segment.
    """

    by_position: tuple[AtPosition, ...]
    gain: tuple[AtDistance, ...]
    doubled: tuple[AtDistance, ...]
    whole: tuple[AtDistance, ...]
    shuffled: tuple[AtDistance, ...]
    recall: tuple[AtDistance, ...]
    context_length: int
    n_windows: int
    n_targets: int
    n_copied: int

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def evaluate_context(
    predictor: Predictor,
    store: TokenStore,
    regions: Sequence[Interval],
    *,
    context_length: int | None = None,
    n_windows: int = 32,
    gain_only: bool = False,
    seed: int = 0,
) -> ContextReport:
    """Score the same held-out bases with more and less, true and false context.

    Parameters
    ----------
    predictor
        The model.
    store
        The genome.
    regions
        Where windows of the context length are taken from, spread evenly.
    context_length
        Bases of a window; None: as many as the model reads.
    n_windows
        The most windows.
    gain_only
        Leave out permuted and repeated sequences, which are most of the work: `shuffled` and
        `recall` are empty.
    seed
        Fixes permutations and bootstraps.

    Raises
    ------
    InputError
        If fewer than two windows without N fit the regions, or the context is too short, or
        longer than what the model reads.

    Source
    ------
    Copy recall: the associative recall of Poli et al. 2023, arXiv:2302.10866v3, Section 4.1,
    on real segments.
    """
    length = predictor.check_context_length(context_length)
    if length < 4 * _SHORTEST:
        raise InputError(f"a context of {length:,} is too short to measure its use; from 256 on")
    windows = spread_windows(store, regions, length=length, n=n_windows, max_unknown=0)
    if len(windows) < 2:
        raise InputError(
            f"the regions hold {len(windows)} windows of {length:,} bp without N, and two are "
            "needed; choose larger regions, or a model of a shorter context"
        )
    probe = _Probe(predictor, [store.fetch(window) for window in windows], seed)
    n_changed = 0 if gain_only else len(probe.contexts) - 1 + 2 * len(probe.gaps)
    n_sequences = len(windows) * (len(probe.contexts) + n_changed)
    plan = predictor.plan(longest=length, n_tokens=n_sequences * length)
    _log.info("probing: at most %s", plan)
    with progress(n_sequences, "probing", "sequences") as meter:
        probe.meter = meter
        whole = probe.whole()
        by_context = probe.by_context(whole)
        nearest, *others = by_context
        (_, most) = by_context[-1]
        return ContextReport(
            by_position=probe.by_position(whole),
            gain=probe.compare([(each, nearest) for each in by_context]),
            doubled=probe.compare([*zip(others, by_context, strict=False)]),
            whole=probe.compare([((n, most), (n, fewer)) for n, fewer in by_context[:-1]]),
            shuffled=() if gain_only else probe.shuffled(whole),
            recall=() if gain_only else probe.recall(),
            context_length=length,
            n_windows=len(windows),
            n_targets=probe.n_targets,
            n_copied=probe.n_copied,
        )


_Bits = Float[np.ndarray, "window base"]
"""What each of the last bases of sequences costs."""

_Targets = tuple[int, Float[np.ndarray, "window target"]]
"""A number of bases before the targets, and what these then cost in bits."""


class _Probe:
    """Builds the sequences of each experiment and scores them."""

    meter: Meter

    def __init__(self, predictor: Predictor, windows: list[TokenArray], seed: int) -> None:
        self._predictor = predictor
        self._windows = windows
        self._seed = seed
        self._length = len(windows[0])
        self.n_targets = min(_MOST_TARGETS, self._length // 4)
        self.n_copied = min(_MOST_COPIED, self._length // 8)
        self.contexts = doubling(_SHORTEST, self._length - self.n_targets)
        self.gaps = doubling(self.n_copied, self._length - 2 * self.n_copied)

    def whole(self) -> _Bits:
        """Score every base of each window after all that stands before it."""
        return self._ends(self._windows, self._length)

    def by_position(self, bits: _Bits) -> tuple[AtPosition, ...]:
        edges = position_edges(self._length)
        parts = [
            (start, end, bits[:, max(start, 1) : end])  # nothing precedes the first base
            for start, end in pairwise(edges)
        ]
        return tuple(
            AtPosition(start, end, part.size, self._mean(part)) for start, end, part in parts
        )

    def by_context(self, whole: _Bits) -> list[_Targets]:
        """Score the last bases of each window after every number of bases before them."""
        n = self.n_targets
        *fewer, most = self.contexts
        scored = [
            (context, self._ends([window[-(n + context) :] for window in self._windows], n))
            for context in fewer
        ]
        return [*scored, (most, whole[:, -n:])]

    def compare(self, pairs: list[tuple[_Targets, _Targets]]) -> tuple[AtDistance, ...]:
        """Set the bits after a context beside those after another."""
        return tuple(self._compare(context, bits, other) for (context, bits), (_, other) in pairs)

    def shuffled(self, whole: _Bits) -> tuple[AtDistance, ...]:
        n = self.n_targets
        return tuple(
            self._compare(near, whole[:, -n:], self._ends(self._permuted(near), n))
            for near in self.contexts[:-1]
        )

    def recall(self) -> tuple[AtDistance, ...]:
        m = self.n_copied
        others = [*self._windows[1:], self._windows[0]]
        found: list[AtDistance] = []
        for gap in self.gaps:
            copies, controls = [], []
            for window, other in zip(self._windows, others, strict=True):
                segment, between = window[:m], window[m : m + gap]
                copies.append(np.concatenate([segment, between, segment]))
                controls.append(np.concatenate([other[:m], between, segment]))
            bits = self._ends([*copies, *controls], m)
            found.append(self._compare(gap, bits[: len(copies)], bits[len(copies) :]))
        return tuple(found)

    def _permuted(self, near: int) -> list[TokenArray]:
        """Permute all but the targets and the `near` bases before them."""
        rng = np.random.default_rng([self._seed, near])
        cut = self._length - self.n_targets - near
        return [np.concatenate([rng.permutation(w[:cut]), w[cut:]]) for w in self._windows]

    def _ends(self, sequences: list[TokenArray], n: int) -> _Bits:
        return np.stack([bits[-n:] for bits in self._score(sequences)])

    def _score(self, sequences: list[TokenArray]) -> Iterator[Float[np.ndarray, " _"]]:
        """Give -log2 p of each base of each sequence."""
        for values in self._predictor.log_likelihoods(sequences):
            self.meter.advance()
            yield values / -math.log(2)

    def _compare(self, distance: int, bits: np.ndarray, control: np.ndarray) -> AtDistance:
        return AtDistance(
            distance, self._mean(bits), self._mean(control), self._mean(control - bits)
        )

    def _mean(self, bits: _Bits) -> Bits:
        sizes = np.full(len(bits), bits.shape[1], dtype=float)
        return mean_bits(bits.sum(axis=1, dtype=float), sizes, seed=self._seed)
