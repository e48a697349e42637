"""Which base is drawn, from what the model says of the four."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from megabase.inference.sampling import Sampling


def draw_probabilities(
    sampling: Sampling, log_p: Float[Tensor, "batch base"]
) -> Float64[Tensor, "batch base"]:
    """Give the probabilities of the draw.

    Parameters
    ----------
    sampling
        How they depend on the model's.
    log_p
        Logarithms of the model's probabilities, or these plus a constant.
    """
    below = log_p.double() - log_p.double().amax(dim=-1, keepdim=True)
    p = torch.softmax(below / sampling.temperature, dim=-1)  # 0 at the likeliest, however cold
    if sampling.top_k == p.shape[-1] and sampling.top_p == 1.0:
        return p
    p, order = p.sort(dim=-1, descending=True, stable=True)
    p[:, sampling.top_k :] = 0.0
    p /= p.sum(dim=-1, keepdim=True)
    p[p.cumsum(dim=-1) - p >= sampling.top_p] = 0.0  # what stands before reaches it already
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
