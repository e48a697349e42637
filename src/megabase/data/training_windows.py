"""Which bases make up each step of a pretraining, and which windows its validation reads.

A `LengthSchedule` sets the length and number of the windows of a step. A `Mixture` draws window
`number` of step `step` as a pure function of the two and of the seed, from the regions of its
`WindowSampler`. A `Share` is what one of several processes reads of them. `StepWindows` is the
three together: the data set whose example k is the batch of step k.
"""

import logging
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from megabase.data.token_store import StoredWindow, TokenStore
from megabase.errors import InputError, counted
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.language import NO_TARGET

_log = logging.getLogger(__name__)

_MAX_DRAWS = 1000  # consecutive windows with too many N, after which drawing fails

_Each = TypeVar("_Each")


class Stage(NamedTuple):
    """A stage of the schedule: `n_windows` windows of `length` tokens from `first_step` on."""

    first_step: int
    length: int
    n_windows: int


class LengthSchedule:
    """A length warm-up: windows double in length from stage to stage, up to the full context.

    Parameters
    ----------
    stages
        The stages in order; the first begins at step 0.
    n_steps
        Number of steps of the run.

    Source
    ------
    Nguyen et al. 2023, arXiv:2306.15794v2, Section 3.2, where the number of windows per step
    is constant and the tokens per step grow; here the tokens per step are constant by default.
    """

    def __init__(self, stages: Sequence[Stage], n_steps: int) -> None:
        self.stages = tuple(stages)
        self.n_steps = n_steps
        self._firsts = [stage.first_step for stage in stages]

    def at(self, step: int) -> Stage:
        """Return the stage of a step."""
        return self.stages[bisect_right(self._firsts, step) - 1]

    def tokens_before(self, step: int) -> int:
        """Count the tokens of all steps before this one."""
        ends = [*self._firsts[1:], self.n_steps]
        return sum(
            max(0, min(step, end) - stage.first_step) * stage.n_windows * stage.length
            for stage, end in zip(self.stages, ends, strict=True)
        )


def plan_lengths(
    *,
    n_steps: int,
    context_length: int,
    tokens_per_step: int,
    start_length: int | None = None,
    warmup_fraction: float = 0.5,
    constant_tokens: bool = True,
) -> LengthSchedule:
    """Plan a warm-up that doubles the length from the start to the context in equal stages.

    Parameters
    ----------
    n_steps
        Number of steps of the run.
    context_length
        Length of a window in tokens in the last stage.
    tokens_per_step
        Tokens of all windows of a step in the last stage; a step has at least one window.
    start_length
        Length of a window in tokens in the first stage; None: no warm-up.
    warmup_fraction
        Fraction of the steps that all stages but the last share equally.
    constant_tokens
        Whether the tokens per step are constant over the stages, rather than the windows.

    Raises
    ------
    InputError
        If there are more stages than steps for them.

    Examples
    --------
    >>> plan_lengths(n_steps=8, context_length=4096, tokens_per_step=8192, start_length=1024).stages
    (Stage(first_step=0, length=1024, n_windows=8), Stage(first_step=2, length=2048, n_windows=4), \
Stage(first_step=4, length=4096, n_windows=2))
    """
    n_windows = max(1, tokens_per_step // context_length)
    start = start_length or context_length
    # The bits of (context - 1) // start are the doublings of the start that stay below the context.
    shorter = [start << n for n in range(((context_length - 1) // start).bit_length())]
    n_warmup = round(warmup_fraction * n_steps) if shorter else 0
    if n_warmup < len(shorter) or (shorter and n_warmup == n_steps):
        raise InputError(
            f"a length warm-up from {start:,} to {context_length:,} has {len(shorter)} "
            f"stages before the last, but {n_warmup} of the {n_steps} steps for them; use more "
            "steps, another length_warmup_fraction or a longer start_length"
        )
    stages = [
        Stage(
            n_warmup * number // len(shorter),
            length,
            max(1, tokens_per_step // length) if constant_tokens else n_windows,
        )
        for number, length in enumerate(shorter)
    ]
    return LengthSchedule([*stages, Stage(n_warmup, context_length, n_windows)], n_steps)


class WindowSampler:
    """Draw windows uniformly from all positions of the regions where a window fits.

    Parameters
    ----------
    store
        The genome.
    regions
        The regions; each window lies within one of them.
    longest
        Length in tokens of the longest window that will be drawn.
    reverse_complement_p
        Probability that a window is read as its reverse complement.
    max_unknown_fraction
        Largest fraction of N; a window with more is rejected, and another is drawn.

    Raises
    ------
    InputError
        If no region is long enough.
    """

    def __init__(
        self,
        store: TokenStore,
        regions: Sequence[Interval],
        *,
        longest: int,
        reverse_complement_p: float,
        max_unknown_fraction: float,
    ) -> None:
        self.longest = longest
        self._store = store
        self._reverse_complement_p = reverse_complement_p
        self._max_unknown_fraction = max_unknown_fraction
        self._regions = list(regions)
        self._lengths = np.array([len(region) for region in regions], dtype=np.int64)
        if not (self._lengths >= longest).any():
            raise InputError(
                f"no region of {store.name} holds a window of {longest:,} bp (the longest has "
                f"{self._lengths.max(initial=0):,} bp); lower the context length or hold out less"
            )
        if n_short := int((self._lengths < longest).sum()):
            _log.info(
                "%s of %s shorter than %s bp: no window of that length is drawn from there",
                counted(n_short, "region"),
                f"{store.name} {'is' if n_short == 1 else 'are'}",
                f"{longest:,}",
            )
        self._ends: dict[int, np.ndarray] = {}  # by length; a run has only a few lengths

    def draw(self, rng: np.random.Generator, length: int) -> StoredWindow:
        """Return a window of `length` tokens.

        Raises
        ------
        InputError
            If nearly every window contains too many N.
        """
        max_unknown = int(self._max_unknown_fraction * length)
        for _ in range(_MAX_DRAWS):
            window = self._store.read(self._draw(rng, length))
            if window.n_unknown(length).item() <= max_unknown:
                return window
        raise InputError(
            f"{_MAX_DRAWS} windows of {length:,} bp of {self._store.name} were drawn, and each has "
            f"more than {max_unknown:,} N; raise max_unknown_fraction or choose other regions"
        )

    def _draw(self, rng: np.random.Generator, length: int) -> Interval:
        # Draw among the start positions of all regions, numbered consecutively; find the region
        # that holds the number, and subtract the positions of the regions before it.
        ends = self._ends_of_regions(length)
        place = int(rng.integers(ends[-1]))
        strand = "-" if rng.random() < self._reverse_complement_p else "+"
        which = int(np.searchsorted(ends, place, side="right"))
        region = self._regions[which]
        start = region.start + place - int(ends[which - 1] if which else 0)
        return Interval(region.contig, start, start + length, strand)

    def _ends_of_regions(self, length: int) -> Int[np.ndarray, " region"]:
        """Return the cumulative number of positions at which a window starts, by region."""
        if length not in self._ends:
            self._ends[length] = np.cumsum(np.maximum(self._lengths - length + 1, 0))
        return self._ends[length]


def spread_windows(
    store: TokenStore, regions: Sequence[Interval], *, length: int, n: int, max_unknown: int
) -> list[StoredWindow]:
    """Return at most `n` held-out windows, spread evenly over the regions.

    The regions are cut into consecutive windows, and evenly spaced ones are chosen.

    Parameters
    ----------
    store
        The genome.
    regions
        The regions; each window lies within one of them.
    length
        Length of a window in tokens.
    n
        Number of windows; fewer are returned if fewer fit.
    max_unknown
        Largest number of N; a window with more is skipped.
    """
    whole = [
        window
        for region in regions
        for window, n_unknown in zip(
            region.windows(length), store.read(region).n_unknown(length), strict=True
        )
        if len(window) == length and n_unknown <= max_unknown
    ]
    n = min(n, len(whole))
    return [store.read(whole[i * len(whole) // n]) for i in range(n)]


class GenomeWindow(NamedTuple):
    """A window of one of several genomes."""

    genome: str
    window: StoredWindow

    def __str__(self) -> str:
        interval = self.window.interval
        return f"{self.genome} {interval} ({interval.strand})"


class Mixture:
    """Draw each window from one of several genomes as a pure function of seed, step and number.

    The windows of a run therefore depend neither on worker processes, nor on training
    processes, nor on interruptions.

    Parameters
    ----------
    samplers
        The sampler of each genome, by name.
    weights
        How often each genome is drawn, relative to the others; positive.
    seed
        Seed of every draw.

    Raises
    ------
    InputError
        If nearly every window of a genome contains too many N.
    """

    def __init__(
        self, samplers: Mapping[str, WindowSampler], weights: Sequence[float], *, seed: int
    ) -> None:
        self._samplers = dict(samplers)
        self._names = list(samplers)
        ends = np.cumsum(weights)
        self._ends = ends / ends[-1]
        self._seed = seed
        for sampler in self._samplers.values():  # a genome of N is refused before the first step
            sampler.draw(np.random.default_rng(seed), sampler.longest)

    def window(self, step: int, number: int, length: int) -> GenomeWindow:
        """Return window `number` (from 0) of a step whose windows have `length` tokens.

        Raises
        ------
        InputError
            If nearly every window of the genome contains too many N.
        """
        rng = np.random.default_rng([self._seed, step, number])
        name = self._names[int(np.searchsorted(self._ends, rng.random(), side="right"))]
        return GenomeWindow(name, self._samplers[name].draw(rng, length))


@dataclass(frozen=True)
class Share:
    """What one of several processes reads: every `n_processes`-th window, from `process` on.

    Parameters
    ----------
    process, n_processes
        Number of this process, from 0, and number of processes.
    """

    process: int = 0
    n_processes: int = 1

    def of(self, windows: Sequence[_Each]) -> Sequence[_Each]:
        """Return this process's windows, or the numbers of them."""
        return windows[self.process :: self.n_processes]

    def largest(self, n_windows: int) -> int:
        """Return how many of `n_windows` windows the process with the most of them reads."""
        return -(-n_windows // self.n_processes)


ALONE = Share()
"""The share of the only process."""

Batch = dict[str, Shaped[Tensor, "window length ..."]]
"""`input_ids`, `labels`, `loss_weights` if soft-masked bases have another weight, and
`memory_features` if the windows have any."""


def as_batch(windows: Sequence[StoredWindow], *, soft_mask_weight: float = 1.0) -> Batch:
    """Return windows of the same length as a batch.

    N is an input but never a target.

    Parameters
    ----------
    windows
        The windows, all of the same length.
    soft_mask_weight
        Weight in the loss of a soft-masked (lower-case) base; every other base has weight 1.
    """
    tokens = torch.from_numpy(np.stack([window.tokens() for window in windows])).long()
    batch = {
        "input_ids": tokens,
        "labels": tokens.masked_fill(tokens == DNA_VOCABULARY.unknown_id, NO_TARGET),
    }
    if soft_mask_weight != 1.0:
        masked = torch.from_numpy(np.stack([window.soft_masked() for window in windows]))
        batch["loss_weights"] = torch.where(masked, soft_mask_weight, 1.0)
    remembered = [window.memory for window in windows if window.memory is not None]
    if remembered:
        batch["memory_features"] = torch.from_numpy(np.stack(remembered))
    return batch


@runtime_checkable
class WindowSource(Protocol):
    """Where the windows of each step come from: a `Mixture`, or one with a memory."""

    def window(self, step: int, number: int, length: int) -> GenomeWindow:
        """Return window `number` (from 0) of a step whose windows have `length` tokens."""
        ...


class StepWindows(Dataset[Batch]):
    """The data set whose example k is the batch of step k: this process's windows of the step.

    Every example is a pure function of its step, so a run resumes at any step, and the windows
    of all processes together do not depend on their number.

    Parameters
    ----------
    mixture
        Draws the windows.
    schedule
        Length and number of the windows of each step.
    share
        What this process reads of each step.
    soft_mask_weight
        Weight in the loss of a soft-masked (lower-case) base; every other base has weight 1.

    Raises
    ------
    InputError
        If a step has fewer windows than there are processes.
    """

    def __init__(
        self,
        mixture: WindowSource,
        schedule: LengthSchedule,
        *,
        share: Share = ALONE,
        soft_mask_weight: float = 1.0,
    ) -> None:
        fewest = min(stage.n_windows for stage in schedule.stages)
        if fewest < share.n_processes:
            raise InputError(
                f"{share.n_processes} processes cannot share the {fewest} windows of a step; start "
                "fewer processes, or raise tokens_per_step"
            )
        self.share = share
        self._mixture = mixture
        self._schedule = schedule
        self._soft_mask_weight = soft_mask_weight

    def __len__(self) -> int:
        return self._schedule.n_steps

    def __getitem__(self, step: int) -> Batch:
        """Read the batch of a step."""
        windows = [window for _, window in self.windows(step)]
        return as_batch(windows, soft_mask_weight=self._soft_mask_weight)

    def windows(self, step: int) -> list[GenomeWindow]:
        """Return this process's windows of a step."""
        _, length, n_windows = self._schedule.at(step)
        numbers = self.share.of(range(n_windows))
        return [self._mixture.window(step, number, length) for number in numbers]

    def n_tokens(self) -> int:
        """Return approximately how many tokens this process reads in all steps."""
        return self._schedule.tokens_before(len(self)) // self.share.n_processes
