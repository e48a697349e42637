"""Which windows of which genomes make up a step of pretraining."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.runtime.log import counted

_log = logging.getLogger(__name__)

_MAX_DRAWS = 1000  # consecutive windows with too many N, after which drawing fails


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
        self.store = store
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

    def draw(self, rng: np.random.Generator, length: int) -> Interval:
        """Return a window of `length` tokens.

        Raises
        ------
        InputError
            If nearly every window contains too many N.
        """
        max_unknown = int(self._max_unknown_fraction * length)
        for _ in range(_MAX_DRAWS):
            window = self._draw(rng, length)
            if self.store.n_unknown(window) <= max_unknown:
                return window
        raise InputError(
            f"{_MAX_DRAWS} windows of {length:,} bp of {self.store.name} were drawn, and each has "
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
) -> list[Interval]:
    """Return at most `n` windows, spread evenly over the regions.

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
        for window in region.windows(length)
        if len(window) == length and store.n_unknown(window) <= max_unknown
    ]
    n = min(n, len(whole))
    return [whole[i * len(whole) // n] for i in range(n)]


@dataclass(frozen=True)
class GenomeWindow:
    """An interval of one of several genomes."""

    genome: str
    interval: Interval

    def __str__(self) -> str:
        return f"{self.genome} {self.interval} ({self.interval.strand})"


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
    """

    def __init__(
        self, samplers: Mapping[str, WindowSampler], weights: Sequence[float], *, seed: int
    ) -> None:
        self._samplers = dict(samplers)
        self._names = list(samplers)
        ends = np.cumsum(weights)
        self._ends = ends / ends[-1]
        self._seed = seed

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


NO_TARGET = -100
"""The label of a token that does not count in the loss, as in Hugging Face models."""

Batch = dict[str, Shaped[Tensor, "window length"]]
"""`input_ids`, `labels`, and `loss_weights` if soft-masked bases have another weight."""


def read_windows(
    stores: Mapping[str, TokenStore],
    windows: Sequence[GenomeWindow],
    *,
    soft_mask_weight: float = 1.0,
) -> Batch:
    """Read windows of the same length as a batch.

    N is an input but never a target.

    Parameters
    ----------
    stores
        The token store of each genome, by name.
    windows
        The windows, all of the same length.
    soft_mask_weight
        Weight in the loss of a soft-masked (lower-case) base; every other base has weight 1.
    """
    tokens = torch.stack([_tokens(stores[window.genome], window) for window in windows])
    batch = {
        "input_ids": tokens,
        "labels": tokens.masked_fill(tokens == DNA_VOCABULARY.unknown_id, NO_TARGET),
    }
    if soft_mask_weight != 1.0:
        masked = torch.stack([_soft_masked(stores[window.genome], window) for window in windows])
        batch["loss_weights"] = torch.where(masked, soft_mask_weight, 1.0)
    return batch


def _tokens(store: TokenStore, window: GenomeWindow) -> Tensor:
    return torch.from_numpy(store.fetch(window.interval).astype("int64"))


def _soft_masked(store: TokenStore, window: GenomeWindow) -> Tensor:
    return torch.from_numpy(store.soft_masked(window.interval).copy())


class StepDataset(Dataset[Batch]):
    """A data set whose example k is the batch of step k: this process's windows of the step.

    Parameters
    ----------
    stores
        The token store of each genome, by name.
    windows
        Returns the windows of a step that this process reads.
    n_steps
        Number of steps.
    soft_mask_weight
        Weight in the loss of a soft-masked (lower-case) base; every other base has weight 1.
    """

    def __init__(
        self,
        stores: Mapping[str, TokenStore],
        windows: Callable[[int], Sequence[GenomeWindow]],
        n_steps: int,
        *,
        soft_mask_weight: float = 1.0,
    ) -> None:
        self._stores = stores
        self.windows = windows
        self._n_steps = n_steps
        self._soft_mask_weight = soft_mask_weight

    def __len__(self) -> int:
        return self._n_steps

    def __getitem__(self, step: int) -> Batch:
        """Read the batch of a step."""
        windows = self.windows(step)
        return read_windows(self._stores, windows, soft_mask_weight=self._soft_mask_weight)
