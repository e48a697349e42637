"""Options for drawing a base: temperature, top-k and top-p."""

import math
from dataclasses import dataclass

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY

_N_BASES = len(DNA_VOCABULARY.base_ids)


@dataclass(frozen=True)
class Sampling:
    """How bases are drawn from the model's probabilities of A, C, G and T.

    Parameters
    ----------
    temperature
        Divides the log-probabilities; below 1 likely bases become likelier.
    top_k
        Draw only from the `top_k` likeliest bases; 1 always takes the likeliest.
    top_p
        Draw only from the fewest likeliest bases that together reach this probability,
        computed after temperature and `top_k`.
    """

    temperature: float = 1.0
    top_k: int = _N_BASES
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InputError(
                f"the temperature must be above 0, got {self.temperature:g}; use top-k 1 to always "
                "take the likeliest base"
            )
        if not 1 <= self.top_k <= _N_BASES:
            raise InputError(f"top-k must be from 1 to {_N_BASES} bases, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be above 0 and at most 1, got {self.top_p:g}")
