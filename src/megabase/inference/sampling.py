"""How the base that is drawn depends on what the model says of the four."""

import math
from dataclasses import dataclass

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY

_N_BASES = len(DNA_VOCABULARY.base_ids)


@dataclass(frozen=True)
class Sampling:
    """How the model's probabilities of A, C, G and T become those of the draw.

    Parameters
    ----------
    temperature
        Logarithms of probabilities are divided by it: below 1 likely bases become likelier.
    top_k
        Only so many of the likeliest bases may be drawn; 1 takes the likeliest.
    top_p
        Of the likeliest bases, only as many may be drawn as it takes to reach this
        probability together, after temperature and `top_k`.
    """

    temperature: float = 1.0
    top_k: int = _N_BASES
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InputError(
                f"a temperature is above 0, got {self.temperature:g}; for the likeliest base at "
                "each place take top-k 1"
            )
        if not 1 <= self.top_k <= _N_BASES:
            raise InputError(f"top-k is from 1 to {_N_BASES} bases, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p is above 0 and at most 1, got {self.top_p:g}")
