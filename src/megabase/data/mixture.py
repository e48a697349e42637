"""Draw training windows from several weighted genomes: window i of step k."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from megabase.data.window_sampler import WindowSampler
from megabase.genome.interval import Interval


@dataclass(frozen=True)
class Window:
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

    def window(self, step: int, number: int, length: int) -> Window:
        """Return window `number` (from 0) of a step whose windows have `length` tokens.

        Raises
        ------
        InputError
            If nearly every window of the genome contains too many N.
        """
        rng = np.random.default_rng([self._seed, step, number])
        name = self._names[int(np.searchsorted(self._ends, rng.random(), side="right"))]
        return Window(name, self._samplers[name].draw(rng, length))
