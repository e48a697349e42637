r"""Weights into which whatever does not depend on tokens is folded: norms, biases and scales.

A norm before a linear map is a change of that map, with the gain g and the bias o of the norm:

.. math:: W (g \odot \hat u + o) + b = (W \operatorname{diag} g)\, \hat u + (W o + b)

The caller subtracts the mean and divides by the deviation. A bias before a causal filter is part
of the filter (`short_conv.with_input_bias`), as a skip weight is part of its first tap
(`taps.with_skip`).
"""

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from megabase.ops.short_conv import ShortFilter, with_input_bias


def fold_norm(
    gain: Float[Tensor, " d_model"],
    offset: Float[Tensor, " d_model"],
    weight: Float[Tensor, "out d_model"],
    bias: Float[Tensor, " out"],
) -> tuple[Float[Tensor, "out d_model"], Float[Tensor, " out"]]:
    """Return the weight and bias of a map that also applies the gain and bias of the norm.

    Parameters
    ----------
    gain, offset
        Weight and bias of the norm before the map.
    weight, bias
        Those of the linear map.
    """
    gain, offset = gain.to(weight.dtype), offset.to(weight.dtype)
    return weight * gain, weight @ offset + bias


# gelu(x) = x sigmoid(a x + b x³): the tanh form of Hendrycks & Gimpel 2016, arXiv:1606.08415.
_GELU_A = 2 * math.sqrt(2 / math.pi)
_GELU_B = 0.044715 * _GELU_A
CUBIC = _GELU_B / _GELU_A**3
"""Coefficient in a gelu(x / a) = x sigmoid(x + CUBIC x³)."""


def scaled_for_gelu(
    expand: Float[Tensor, "inner d_model"],
    expand_bias: Float[Tensor, " inner"],
    contract: Float[Tensor, "d_model inner"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale the weights around a GELU by a and 1 / a, which saves the GELU one multiplication.

    Parameters
    ----------
    expand, expand_bias
        The linear map before the GELU.
    contract
        The weight of the linear map after it.
    """
    return expand * _GELU_A, expand_bias * _GELU_A, contract / _GELU_A


class LayerWeights(NamedTuple):
    """The weights of a layer, with the gain and bias of each norm folded into those after it.

    Attributes
    ----------
    project, project_bias, short
        Projection to the streams, (3 d_model, d_model), and their short filters. A bias of None
        is part of `short`.
    out, out_bias
        Projection of the mixed channels, (d_model, d_model).
    expand, expand_bias, contract, contract_bias
        The MLP.
    """

    project: Tensor
    project_bias: Tensor | None
    short: ShortFilter
    out: Tensor
    out_bias: Tensor
    expand: Tensor
    expand_bias: Tensor
    contract: Tensor
    contract_bias: Tensor

    def with_bias_in_short(self) -> "LayerWeights":
        """Fold the bias of the projection into the short filters; not for streams with padding."""
        if self.project_bias is None:
            return self
        short = with_input_bias(self.short.taps, self.short.bias, self.project_bias)
        return self._replace(project_bias=None, short=short)

    def scaled_for_gelu(self) -> "LayerWeights":
        """Scale the MLP as `scaled_for_gelu` does."""
        scaled = scaled_for_gelu(self.expand, self.expand_bias, self.contract)
        expand, expand_bias, contract = scaled
        return self._replace(expand=expand, expand_bias=expand_bias, contract=contract)
