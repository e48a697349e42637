"""What is done between the matrix products of a layer.

`Steps` is the definition, in some calls of torch each; `native.NativeSteps` computes the same
in one pass over the memory.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from megabase.ops.gated_conv import Mixer, ShortFilter, Workspace, gated_conv

# gelu(x) = x sigmoid(a x + b x³): the tanh form of Hendrycks & Gimpel 2016, arXiv:1606.08415.
_GELU_A = 2 * math.sqrt(2 / math.pi)
_GELU_B = 0.044715 * _GELU_A
CUBIC = _GELU_B / _GELU_A**3
"""In a gelu(x / a) = x sigmoid(x + CUBIC x³)."""


def scaled_for_gelu(
    expand: Float[Tensor, "inner d_model"],
    expand_bias: Float[Tensor, " inner"],
    contract: Float[Tensor, "d_model inner"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale weights before and after the GELU so that it takes one product less."""
    return expand * _GELU_A, expand_bias * _GELU_A, contract / _GELU_A


class Steps:
    """The steps, by torch. A norm has neither gain nor bias here."""

    def mixer(
        self,
        like: Float[Tensor, "batch d_model length"],
        n_channels: int,
        *,
        n_filters: int,
        dtype: torch.dtype,
    ) -> Mixer:
        """Give what mixes the channels of an operator.

        Parameters
        ----------
        like
            Gives the sizes, and the device and dtype of the arithmetic.
        n_channels
            Those whose streams are there at once.
        n_filters
            As in `gated_conv.Workspace`.
        dtype
            Of the streams.
        """
        return Workspace(like[:, :1], n_channels, n_filters=n_filters)

    def gated_conv(
        self,
        streams: Float[Tensor, "batch stream_channel length"],
        short: ShortFilter,
        h: Float[Tensor, "channel length"],
        d: Float[Tensor, " channel"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> Float[Tensor, "batch channel length"]:
        """Mix the channels of an operator with a gradient, as `gated_conv.gated_conv`."""
        return gated_conv(streams, short, h, d, mask)

    def read(
        self,
        normed: Float[Tensor, "token d_model"],
        scale: Float[Tensor, "token 1"],
        bias: Float[Tensor, " d_model"],
    ) -> Float[Tensor, "token d_model"]:
        """Undo a norm, but for the mean, and add a bias."""
        return torch.addcmul(bias, normed, scale)

    def norm(self, r: Float[Tensor, "token d_model"], eps: float) -> Float[Tensor, "token d_model"]:
        """Norm over channels."""
        return functional.layer_norm(r, r.shape[-1:], eps=eps)

    def gelu(
        self, x: Float[Tensor, "token inner"], bias: Float[Tensor, " inner"]
    ) -> Float[Tensor, "token inner"]:
        """Give a·gelu((x + bias) / a) in place of x, with the a of `scaled_for_gelu`."""
        x.add_(bias)
        cube = x * x
        torch.addcmul(x, x, cube, value=CUBIC, out=cube)
        return x.mul_(cube.sigmoid_())

    def write(
        self,
        r: Float[Tensor, "token d_model"],
        bias: Float[Tensor, " d_model"],
        eps: float,
        *,
        normed: Float[Tensor, "token d_model"],
        scale: Float[Tensor, "token 1"],
        mean: Float[Tensor, "token 1"],
    ) -> None:
        """Norm r + bias: write the norm and its scale, and add its mean to `mean`."""
        u, more, inverse = torch.native_layer_norm(r.add_(bias), r.shape[-1:], None, None, eps)
        normed.copy_(u)
        mean += more
        torch.reciprocal(inverse, out=scale)
