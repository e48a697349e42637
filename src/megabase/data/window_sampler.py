"""Windows of one genome: drawn over its regions, or spread evenly over them."""

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.run.log import counted

_log = logging.getLogger(__name__)

_MAX_DRAWS = 1000  # in a row that hold too many N, before we say that there is nothing to learn


class WindowSampler:
    """Draw windows evenly over all places of the regions where one fits.

    Parameters
    ----------
    store
        The genome.
    regions
        Where windows may lie; each lies within one of them.
    longest
        Tokens of the longest window that will be drawn.
    reverse_complement_p
        Probability that a window is read from the other strand.
    max_unknown_fraction
        A window with a greater share of N is passed over for another.

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
                f"{self._lengths.max(initial=0):,}); lower the context length or hold out less"
            )
        if n_short := int((self._lengths < longest).sum()):
            _log.info(
                "%s of %s shorter than %s bp: no window of that length is drawn there",
                counted(n_short, "region"),
                f"{store.name} {'is' if n_short == 1 else 'are'}",
                f"{longest:,}",
            )
        self._ends: dict[int, np.ndarray] = {}  # by length, of which a run has a few

    def draw(self, rng: np.random.Generator, length: int) -> Interval:
        """Give a window of `length` tokens.

        Raises
        ------
        InputError
            If nearly every window holds too many N.
        """
        max_unknown = int(self._max_unknown_fraction * length)
        for _ in range(_MAX_DRAWS):
            window = self._draw(rng, length)
            if self.store.n_unknown(window) <= max_unknown:
                return window
        raise InputError(
            f"{_MAX_DRAWS} windows of {length:,} bp of {self.store.name} were drawn, and each had "
            f"more than {max_unknown:,} N; raise max_unknown_fraction or choose regions"
        )

    def _draw(self, rng: np.random.Generator, length: int) -> Interval:
        ends = self._ends_of_regions(length)
        place = int(rng.integers(ends[-1]))
        strand = "-" if rng.random() < self._reverse_complement_p else "+"
        which = int(np.searchsorted(ends, place, side="right"))
        region = self._regions[which]
        start = region.start + place - int(ends[which - 1] if which else 0)
        return Interval(region.contig, start, start + length, strand)

    def _ends_of_regions(self, length: int) -> Int[np.ndarray, " region"]:
        """Number the places of all regions in a row: where those of each region end."""
        if length not in self._ends:
            self._ends[length] = np.cumsum(np.maximum(self._lengths - length + 1, 0))
        return self._ends[length]


def spread_windows(
    store: TokenStore, regions: Sequence[Interval], *, length: int, n: int, max_unknown: int
) -> list[Interval]:
    """Take at most `n` whole windows, spread evenly over the consecutive ones of the regions.

    Parameters
    ----------
    store
        The genome.
    regions
        Where the windows lie.
    length
        Tokens of a window.
    n
        How many, if so many fit.
    max_unknown
        A window with more N is passed over.
    """
    whole = [
        window
        for region in regions
        for window in region.windows(length)
        if len(window) == length and store.n_unknown(window) <= max_unknown
    ]
    n = min(n, len(whole))
    return [whole[i * len(whole) // n] for i in range(n)]
