"""The gain and bias of a norm, taken into the linear map after it."""

from jaxtyping import Float
from torch import Tensor, nn


def fold_norm(
    norm: nn.LayerNorm, weight: Float[Tensor, "out d_model"], bias: Float[Tensor, " out"]
) -> tuple[Float[Tensor, "out d_model"], Float[Tensor, " out"]]:
    """Give the weight and bias that make of a token without gain what norm and map make of it.

    Parameters
    ----------
    norm
        Its gain and bias are taken up; its mean and deviation are left to the caller.
    weight, bias
        Of the linear map.
    """
    gain, offset = norm.weight.to(weight.dtype), norm.bias.to(weight.dtype)
    return weight * gain, weight @ offset + bias
