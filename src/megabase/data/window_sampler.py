"""Choose windows of one genome: drawn at random from its regions, or spread evenly over them."""

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.run.log import counted

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
