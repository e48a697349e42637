"""Folding the gain and bias of a norm into the linear map after it."""

from jaxtyping import Float
from torch import Tensor, nn


def fold_norm(
    norm: nn.LayerNorm, weight: Float[Tensor, "out d_model"], bias: Float[Tensor, " out"]
) -> tuple[Float[Tensor, "out d_model"], Float[Tensor, " out"]]:
    """Return the weight and bias of a map that also applies the gain and bias of the norm.

    Parameters
    ----------
    norm
        The norm before the map. The caller still subtracts the mean and divides by the deviation.
    weight, bias
        Those of the linear map.
    """
    gain, offset = norm.weight.to(weight.dtype), norm.bias.to(weight.dtype)
    return weight * gain, weight @ offset + bias
