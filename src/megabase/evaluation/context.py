"""The evidence that context helps, and its page."""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from megabase.data.token_store import TokenStore, open_token_store
from megabase.data.training_windows import spread_windows
from megabase.errors import InputError
from megabase.evaluation.perplexity import AtPosition, Bits, mean_bits, position_edges
from megabase.evaluation.scored_regions import choose_regions
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import TokenArray
from megabase.inference.predictor import Predictor
from megabase.metrics.label_efficiency import doubling
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
        Length of a window in bases; None: the context length of the model.
    n_windows
        Maximum number of windows.
    gain_only
        Skip permuted and repeated sequences, which are most of the work: `shuffled` and
        `recall` are empty.
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
    length = predictor.check_context_length(context_length)
    if length < 4 * _SHORTEST:
        raise InputError(f"the context length must be at least 256 bases, got {length:,}")
    windows = spread_windows(store, regions, length=length, n=n_windows, max_unknown=0)
    if len(windows) < 2:
        raise InputError(
            f"expected at least two windows of {length:,} bp without N in the regions, found "
            f"{len(windows)}; choose larger regions or a shorter context"
        )
    probe = _Probe(predictor, [window.tokens() for window in windows], seed)
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
"""Bits of each of the last bases of sequences."""

_Targets = tuple[int, Float[np.ndarray, "window target"]]
"""The number of context bases before the targets, and the bits of the targets."""


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
        """Return the surprisal in bits of every base, given all earlier bases of its window."""
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

    def recall(self) -> tuple[AtDistance, ...]:
        m = self.n_copied
        others = [*self._windows[1:], self._windows[0]]  # controls take the next window's segment
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
        """Yield -log2 p of each base of each sequence."""
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
    store = open_token_store(genome_path(genome), cache=cache_folder())
    chosen = choose_regions(model, store, regions)
    predictor = Predictor.load(model, device=device)
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
    request |= {key: value for key, value in options.items() if value}
    place = Output(output, request, is_folder=True, overwrite=overwrite)
    if place.is_finished:
        return json.loads((output / JSON).read_text(encoding="utf-8"))
    with exclusive_lock(output):
        place.start()
        found = evaluate_context(
            predictor, store, chosen.scored, n_windows=n_windows, seed=seed, **options
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
