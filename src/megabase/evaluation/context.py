"""The evidence that context helps, and its page."""

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from megabase.data.memory_index import MemoryIndex, OwnPlaces
from megabase.data.token_store import StoredWindow, TokenStore, open_token_store
from megabase.data.training_windows import spread_windows
from megabase.errors import InputError
from megabase.evaluation.perplexity import (
    AtPosition,
    Bits,
    load_after,
    mean_bits,
    position_edges,
)
from megabase.evaluation.scored_regions import choose_regions
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.predictor import Predictor
from megabase.metrics.label_efficiency import doubling
from megabase.model.memory_mixer import MemoryMixer
from megabase.ops.memory import Features, Gaps
from megabase.report.context_report import context_page
from megabase.report.figures import figure_class, plot_context
from megabase.runtime.artifacts import Output, atomic_files, exclusive_lock
from megabase.runtime.location import cache_folder, genome_path
from megabase.runtime.log import Meter, progress

_log = logging.getLogger(__name__)

_SHORTEST = 64  # shortest context, in bases
_MOST_TARGETS = 1024  # maximum number of target bases at the end of a window
_MOST_COPIED = 128  # maximum length of the repeated segment, in bases


@dataclass(frozen=True)
class AtDistance:
    """Bits per base of the same targets in two conditions.

    Parameters
    ----------
    distance
        A distance in bases; its meaning depends on the list of `ContextReport`.
    bits, control
        Bits per base of the targets, in the condition and in the control.
    difference
        Control minus bits, paired by window; above 0 if the model uses what the control lacks.
    """

    distance: int
    bits: Bits
    control: Bits
    difference: Bits


@dataclass(frozen=True)
class ContextReport:
    """How the bits per base of a model depend on its context.

    Parameters
    ----------
    by_position
        Bits by position in the window.
    gain
        The last bases of each window after `distance` bases of context; the control sees only
        the nearest 64 bases.
    doubled
        The same bases after the same contexts; the control sees the next shorter context. The
        difference is below 0 if more context makes the model worse.
    whole
        The same bases after the whole context; the control sees the nearest `distance` bases.
    shuffled
        The same bases after the whole context; in the control all bases further back than
        `distance` are permuted, which keeps their composition.
    recall
        The second copy of a segment, `distance` bases after the end of the first copy; in the
        control the first copy is replaced by another segment.
    recall_changed
        The same for second copies that are not exact, by name, if the model has a memory: the
        reverse complement, and copies of which a fraction of the bases is replaced.
    context_length
        Length of a window in bases.
    n_windows
        Number of windows.
    n_targets
        Number of target bases of each window.
    n_copied
        Length of the repeated segment in bases.
    """

    by_position: tuple[AtPosition, ...]
    gain: tuple[AtDistance, ...]
    doubled: tuple[AtDistance, ...]
    whole: tuple[AtDistance, ...]
    shuffled: tuple[AtDistance, ...]
    recall: tuple[AtDistance, ...]
    recall_changed: dict[str, tuple[AtDistance, ...]]
    context_length: int
    n_windows: int
    n_targets: int
    n_copied: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)


def evaluate_context(
    predictor: Predictor,
    store: TokenStore,
    regions: Sequence[Interval],
    *,
    context_length: int | None = None,
    n_windows: int = 32,
    gain_only: bool = False,
    index: MemoryIndex | None = None,
    seed: int = 0,
) -> ContextReport:
    """Score the same held-out bases after longer, shorter, permuted and replaced context.

    Parameters
    ----------
    predictor
        The model.
    store
        The genome.
    regions
        Regions to take windows of the context length from, evenly spread.
    context_length
        Length of a window in bases; None: the context length of the model. For a model with a
        memory it may be longer: the memory reads the whole window, and the network its last bases.
    n_windows
        Maximum number of windows.
    gain_only
        Skip permuted and repeated sequences, which are most of the work: `shuffled` and
        `recall` are empty.
    index
        What the memory of the predictor begins with; the contigs of the genome do not count in it.
    seed
        Seed of permutations and bootstraps.

    Raises
    ------
    InputError
        If fewer than two windows without N fit the regions, or if the context is too short or
        longer than that of the model.

    Source
    ------
    Copy recall: the associative recall of Poli et al. 2023, arXiv:2302.10866v3, Section 4.1,
    on real segments.
    """
    gaps = () if index is None else OwnPlaces.of_store(index, store).whole()
    has_memory = predictor.memory is not None
    if context_length is not None and has_memory:
        length = context_length
    else:
        length = predictor.check_context_length(context_length)
    windows = _windows_of(store, regions, length, n_windows, predictor.context_length)
    probe = _Probe(predictor, [window.tokens() for window in windows], seed, gaps)
    changes = _CHANGES if has_memory and not gain_only else {}
    n_changed = 0
    if not gain_only:
        n_changed = len(probe.contexts) - 1 + 2 * len(probe.gaps) * (1 + len(changes))
    n_sequences = len(windows) * (len(probe.contexts) + n_changed)
    longest = min(length, predictor.context_length)
    plan = predictor.plan(longest=longest, n_tokens=n_sequences * longest)
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
            recall=() if gain_only else probe.recall(_exactly),
            recall_changed={name: probe.recall(change) for name, change in changes.items()},
            context_length=length,
            n_windows=len(windows),
            n_targets=probe.n_targets,
            n_copied=probe.n_copied,
        )


_MOST_UNKNOWN = 0.1  # fraction of N in a window, for a model with a memory


def _windows_of(
    store: TokenStore, regions: Sequence[Interval], length: int, n: int, context_length: int
) -> list[StoredWindow]:
    """Return the windows to score; raise an InputError if there are fewer than two."""
    if length < 4 * _SHORTEST:
        raise InputError(f"the context length must be at least 256 bases, got {length:,}")
    if length > context_length:
        windows = _windows_of_targets(store, regions, length, n, context_length)
    else:
        windows = spread_windows(store, regions, length=length, n=n, max_unknown=0)
    if len(windows) < 2:
        raise InputError(
            f"expected at least two windows of {length:,} bp without N in the regions, found "
            f"{len(windows)}; choose larger regions or a shorter context"
        )
    return windows


def _windows_of_targets(
    store: TokenStore, regions: Sequence[Interval], length: int, n: int, shown: int
) -> list[StoredWindow]:
    """Return windows that end in evenly spread targets within the regions, and may begin before.

    The last `shown` bases of each, which the network reads, are without N.
    """
    n_targets = _n_targets(shown)
    possible = [
        replace(region, start=max(region.start, length - n_targets))
        for region in regions
        if region.end > length - n_targets
    ]
    targets = spread_windows(store, possible, length=n_targets, n=n, max_unknown=0)
    windows = [
        store.read(replace(target.interval, start=target.interval.end - length))
        for target in targets
    ]
    unknown = DNA_VOCABULARY.unknown_id
    return [
        window
        for window in windows
        if not (window.tokens()[-shown:] == unknown).any()
        and (window.tokens() == unknown).mean() <= _MOST_UNKNOWN
    ]


def _n_targets(length: int) -> int:
    return min(_MOST_TARGETS, length // 4)


_Change = Callable[[TokenArray, np.random.Generator], TokenArray]
"""Changes the second copy of a segment."""


def _exactly(segment: TokenArray, rng: np.random.Generator) -> TokenArray:
    del rng
    return segment


def _inverted(segment: TokenArray, rng: np.random.Generator) -> TokenArray:
    del rng
    return DNA_VOCABULARY.reverse_complement(segment)


def _mutated(fraction: float) -> _Change:
    def change(segment: TokenArray, rng: np.random.Generator) -> TokenArray:
        bases = np.array(DNA_VOCABULARY.base_ids, dtype=segment.dtype)
        numbers = DNA_VOCABULARY.to_bases(segment)
        others = (numbers + rng.integers(1, len(bases), len(segment))) % len(bases)
        is_changed = (rng.random(len(segment)) < fraction) & (numbers < len(bases))
        return np.where(is_changed, bases[others], segment)

    return change


_CHANGES: dict[str, _Change] = {
    "inverted": _inverted,
    "1 % mutated": _mutated(0.01),
    "5 % mutated": _mutated(0.05),
    "10 % mutated": _mutated(0.10),
}
"""What is done to the second copy of a segment, by the name in the report."""

_Bits = Float[np.ndarray, "window base"]
"""Bits of each of the last bases of sequences."""

_Targets = tuple[int, Float[np.ndarray, "window target"]]
"""The number of context bases before the targets, and the bits of the targets."""


class _Probe:
    """Builds the sequences of each experiment and scores them."""

    meter: Meter

    def __init__(
        self, predictor: Predictor, windows: list[TokenArray], seed: int, gaps: Gaps
    ) -> None:
        self._predictor = predictor
        self._gaps = gaps
        self._windows = windows
        self._seed = seed
        self._length = len(windows[0])
        self._shown = min(self._length, predictor.context_length)
        self.n_targets = _n_targets(self._shown)
        self.n_copied = min(_MOST_COPIED, self._length // 8)
        self.contexts = doubling(_SHORTEST, self._length - self.n_targets)
        self.gaps = doubling(self.n_copied, self._length - 2 * self.n_copied)

    def whole(self) -> _Bits:
        """Return the surprisal in bits of the bases of each window that the network reads.

        These are all bases, except of a window that only a memory reads as a whole.
        """
        return self._ends(self._windows, self._shown)

    def by_position(self, bits: _Bits) -> tuple[AtPosition, ...]:
        if self._shown < self._length:
            return ()
        edges = position_edges(self._length)
        parts = [
            (start, end, bits[:, max(start, 1) : end])  # nothing precedes the first base
            for start, end in pairwise(edges)
        ]
        return tuple(
            AtPosition(start, end, part.size, self._mean(part)) for start, end, part in parts
        )

    def by_context(self, whole: _Bits) -> list[_Targets]:
        """Return the bits of the targets of each window for each length of context."""
        n = self.n_targets
        *fewer, most = self.contexts
        scored = [
            (context, self._ends([window[-(n + context) :] for window in self._windows], n))
            for context in fewer
        ]
        return [*scored, (most, whole[:, -n:])]

    def compare(self, pairs: list[tuple[_Targets, _Targets]]) -> tuple[AtDistance, ...]:
        """Compare the bits after each context with those after its control."""
        return tuple(self._compare(context, bits, other) for (context, bits), (_, other) in pairs)

    def shuffled(self, whole: _Bits) -> tuple[AtDistance, ...]:
        n = self.n_targets
        return tuple(
            self._compare(near, whole[:, -n:], self._ends(self._permuted(near), n))
            for near in self.contexts[:-1]
        )

    def recall(self, change: _Change) -> tuple[AtDistance, ...]:
        """Compare second copies, which are changed, with controls that lack the first copy."""
        m = self.n_copied
        others = [*self._windows[1:], self._windows[0]]  # controls take the next window's segment
        found: list[AtDistance] = []
        for gap in self.gaps:
            copies, controls = [], []
            rng = np.random.default_rng([self._seed, gap])
            for window, other in zip(self._windows, others, strict=True):
                segment, between = window[:m], window[m : m + gap]
                again = change(segment, rng)
                copies.append(np.concatenate([segment, between, again]))
                controls.append(np.concatenate([other[:m], between, again]))
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
        """Yield -log2 p of each base of each sequence."""
        mixer, features = self._predictor.memory, None
        if mixer is not None:
            features = (self._remembered(mixer, sequence) for sequence in sequences)
        shown = (sequence[-self._shown :] for sequence in sequences)
        for values in self._predictor.log_likelihoods(shown, features=features):
            self.meter.advance()
            yield values / -math.log(2)

    def _remembered(self, mixer: MemoryMixer, sequence: TokenArray) -> Features:
        """Return the features of the bases that the network reads."""
        memory = mixer.new_memory(len(sequence), self._gaps)
        numbers = DNA_VOCABULARY.to_bases(sequence)
        return memory.read(numbers, np.arange(len(sequence)) >= len(sequence) - self._shown)

    def _compare(self, distance: int, bits: np.ndarray, control: np.ndarray) -> AtDistance:
        return AtDistance(
            distance, self._mean(bits), self._mean(control), self._mean(control - bits)
        )

    def _mean(self, bits: _Bits) -> Bits:
        sizes = np.full(len(bits), bits.shape[1], dtype=float)
        return mean_bits(bits.sum(axis=1, dtype=float), sizes, seed=self._seed)


JSON, FIGURE, PAGE = "context.json", "context.png", "context.html"


def report_context(
    model: str,
    genome: str,
    output: Path,
    *,
    regions: Path | None = None,
    context_length: int | None = None,
    n_windows: int = 32,
    gain_only: bool = False,
    index: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Run `evaluate_context` on held-out regions, and write the results to a folder.

    Parameters
    ----------
    model
        Model folder, hub id or asset:NAME; see `model.load`.
    genome
        FASTA or 2bit file, or asset:NAME.
    output
        The folder to write: `context.json`, `context.png` and `context.html`.
    regions
        BED file of the regions to take windows from; None: those of `choose_regions`.
    context_length
        Length of a window in bases; None: the context length of the model.
    n_windows
        Maximum number of windows.
    gain_only
        Skip permuted and repeated sequences, which are most of the work.
    index
        File of `pipelines.index` with which the memory of every sequence begins.
    seed
        Seed of permutations and bootstraps.
    device
        Device to run on; ``auto`` chooses one.
    overwrite
        Replace an existing output.

    Returns
    -------
    report
        The content of `context.json`.

    Raises
    ------
    InputError
        If an input is invalid, too few windows fit the regions, or matplotlib is missing.
    """
    figure_class()
    opened = None if index is None else MemoryIndex(index)
    store = open_token_store(genome_path(genome), cache=cache_folder())
    chosen = choose_regions(model, store, regions)
    predictor = load_after(model, device, opened)
    about: dict[str, Any] = {
        "genome": genome,
        "genome_sha256": store.sha256,
        "model_name": model,
        "weights_sha256": predictor.weights_sha256,
        "regions": [[i.contig, i.start, i.end] for i in chosen.scored],
        "n_bases_trained_on": chosen.n_bases_trained_on,
        "n_windows_asked": n_windows,
        "seed": seed,
    }
    request: dict[str, Any] = {"command": "evaluate context", **about}
    options: dict[str, Any] = {"context_length": context_length, "gain_only": gain_only}
    if opened is not None:
        request["index"] = about["index"] = opened.fingerprint
    request |= {key: value for key, value in options.items() if value}
    place = Output(output, request, is_folder=True, overwrite=overwrite)
    if place.is_finished:
        return json.loads((output / JSON).read_text(encoding="utf-8"))
    with exclusive_lock(output):
        place.start()
        found = evaluate_context(
            predictor,
            store,
            chosen.scored,
            n_windows=n_windows,
            index=opened,
            seed=seed,
            **options,
        )
        report = about | found.to_dict()
        with atomic_files(output) as folder:
            (folder / JSON).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            plot_context(report, folder / FIGURE)
            (folder / PAGE).write_text(
                context_page(report, folder / FIGURE), encoding="utf-8", errors="backslashreplace"
            )
        place.finish()
    return report
