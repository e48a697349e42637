"""Draw a base from the model's probabilities of A, C, G, T."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from megabase.inference.sampling import Sampling


def draw_probabilities(
    sampling: Sampling, log_p: Float[Tensor, "batch base"]
) -> Float64[Tensor, "batch base"]:
    """Return the probabilities with which bases are drawn.

    Parameters
    ----------
    sampling
        Temperature, top-k and top-p, applied in this order.
    log_p
        Logarithms of the model's probabilities; an added constant has no effect.
    """
    # The likeliest base gets exactly 0, which stays finite at any temperature.
    below = log_p.double() - log_p.double().amax(dim=-1, keepdim=True)
    p = torch.softmax(below / sampling.temperature, dim=-1)
    if sampling.top_k == p.shape[-1] and sampling.top_p == 1.0:
        return p
    p, order = p.sort(dim=-1, descending=True, stable=True)
    p[:, sampling.top_k :] = 0.0
    p /= p.sum(dim=-1, keepdim=True)
    p[p.cumsum(dim=-1) - p >= sampling.top_p] = 0.0  # likelier bases alone reach top_p
    p /= p.sum(dim=-1, keepdim=True)
    return torch.empty_like(p).scatter_(-1, order, p)


def draw(
    p: Float64[Tensor, "batch base"], uniform: Float64[Tensor, " batch"]
) -> Int64[Tensor, " batch"]:
    """Draw a base for each row by inverting the cumulative sum of its probabilities.

    Parameters
    ----------
    p
        Probabilities of the bases.
    uniform
        A uniform number in [0, 1) for each row.

    Returns
    -------
    base
        Index of the drawn base.

    Examples
    --------
    >>> p = torch.tensor([[0.5, 0.0, 0.25, 0.25]], dtype=torch.float64)
    >>> [draw(p, torch.tensor([u], dtype=torch.float64)).item() for u in (0.0, 0.5, 0.8)]
    [0, 2, 3]
    """
    sums = p.cumsum(dim=-1)
    # `uniform` is scaled by the total, which rounding leaves slightly off 1.
    return (sums[:, :-1] <= uniform[:, None] * sums[:, -1:]).sum(dim=-1)
