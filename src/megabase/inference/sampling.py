"""Which base is drawn, from what the model says of the four."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

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

    def probabilities(self, log_p: Float[Tensor, "batch base"]) -> Float64[Tensor, "batch base"]:
        """Give the probabilities of the draw.

        Parameters
        ----------
        log_p
            Logarithms of the model's probabilities, or these plus a constant.
        """
        below = log_p.double() - log_p.double().amax(dim=-1, keepdim=True)
        p = torch.softmax(below / self.temperature, dim=-1)  # 0 at the likeliest, however cold
        if self.top_k == _N_BASES and self.top_p == 1.0:
            return p
        p, order = p.sort(dim=-1, descending=True, stable=True)
        p[:, self.top_k :] = 0.0
        p /= p.sum(dim=-1, keepdim=True)
        p[p.cumsum(dim=-1) - p >= self.top_p] = 0.0  # what stands before reaches it already
        p /= p.sum(dim=-1, keepdim=True)
        return torch.empty_like(p).scatter_(-1, order, p)


def draw(
    p: Float64[Tensor, "batch base"], uniform: Float64[Tensor, " batch"]
) -> Int64[Tensor, " batch"]:
    """Give the base on which each uniform number of [0, 1) falls, by inverting the sum of `p`.

    Examples
    --------
    >>> p = torch.tensor([[0.5, 0.0, 0.25, 0.25]], dtype=torch.float64)
    >>> [draw(p, torch.tensor([u], dtype=torch.float64)).item() for u in (0.0, 0.5, 0.8)]
    [0, 2, 3]
    """
    sums = p.cumsum(dim=-1)
    return (sums[:, :-1] <= uniform[:, None] * sums[:, -1:]).sum(dim=-1)
