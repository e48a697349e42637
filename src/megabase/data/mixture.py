"""Several genomes, with weights: which window is number i of step k."""

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
    """Draw each window from one of several genomes: a pure function of seed, step and number.

    So neither worker processes, nor training processes, nor an interruption change what
    is seen.

    Parameters
    ----------
    samplers
        Of each genome, by its name.
    weights
        How often each is drawn from, relative to the others.
    seed
        Fixes every draw.
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
        """Give window `number` of a step whose windows have `length` tokens.

        Raises
        ------
        InputError
            If nearly every window of the genome holds too many N.
        """
        rng = np.random.default_rng([self._seed, step, number])
        name = self._names[int(np.searchsorted(self._ends, rng.random(), side="right"))]
        return Window(name, self._samplers[name].draw(rng, length))
