"""Which window of a genome is number i: a pure function of the seed and i."""

import logging
from collections.abc import Sequence

import numpy as np

from megabase.data.token_store import TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY

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
    length
        Tokens of a window.
    seed
        Fixes every draw.
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
        length: int,
        seed: int,
        reverse_complement_p: float,
        max_unknown_fraction: float,
    ) -> None:
        self.store = store
        self.length = length
        self._seed = seed
        self._reverse_complement_p = reverse_complement_p
        self._max_unknown = int(max_unknown_fraction * length)
        self._regions = [region for region in regions if len(region) >= length]
        if not self._regions:
            longest = max(map(len, regions), default=0)
            raise InputError(
                f"no region of {store.name} holds a window of {length:,} bp (the longest has "
                f"{longest:,}); lower the context length or hold out less"
            )
        if n_short := len(regions) - len(self._regions):
            _log.info("%d regions shorter than %s bp are not trained on", n_short, f"{length:,}")
        self._ends = np.cumsum([len(region) - length + 1 for region in self._regions])

    def window(self, index: int) -> Interval:
        """Give window number `index`.

        Raises
        ------
        InputError
            If nearly every window holds too many N.
        """
        rng = np.random.default_rng([self._seed, index])
        for _ in range(_MAX_DRAWS):
            window = self._draw(rng)
            tokens = self.store.fetch(window)
            if np.count_nonzero(tokens == DNA_VOCABULARY.unknown_id) <= self._max_unknown:
                return window
        raise InputError(
            f"{_MAX_DRAWS} windows of {self.length:,} bp of {self.store.name} were drawn, and each "
            f"had more than {self._max_unknown:,} N; raise max_unknown_fraction or choose regions"
        )

    def _draw(self, rng: np.random.Generator) -> Interval:
        place = int(rng.integers(self._ends[-1]))
        strand = "-" if rng.random() < self._reverse_complement_p else "+"
        which = int(np.searchsorted(self._ends, place, side="right"))
        region = self._regions[which]
        start = region.start + place - int(self._ends[which - 1] if which else 0)
        return Interval(region.contig, start, start + self.length, strand)
