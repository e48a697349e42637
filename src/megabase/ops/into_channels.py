r"""A linear map of tokens whose output has channels before tokens, without a transposing copy.

.. math:: s_{b,c,t} = \sum_d W_{c,d}\, u_{b,t,d}
   :label: into-channels

`torch.nn.functional.linear` puts channels last in its output, and the transpose after it puts
tokens last in the gradient of its input, so that later steps need strided access or a copy.
"""

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor


def into_channels(
    u: Float[Tensor, "batch length d_model"], weight: Float[Tensor, "channel d_model"]
) -> Float[Tensor, "batch channel length"]:
    """Compute Eq. into-channels; the output and the gradient of `u` are contiguous.

    Parameters
    ----------
    u
        Input, channels last.
    weight
        Weight of the map, as in `torch.nn.Linear`.
    """
    if torch.is_autocast_enabled(u.device.type):
        dtype = torch.get_autocast_dtype(u.device.type)
        u, weight = u.to(dtype), weight.to(dtype)
    return cast("Tensor", _IntoChannels.apply(u, weight))


class _IntoChannels(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        u: Tensor,
        weight: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(u, weight)
        return torch.bmm(weight.expand(len(u), -1, -1), u.mT)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        d_s: Tensor,
    ) -> tuple[Tensor, Tensor]:
        u, weight = ctx.saved_tensors
        d_u = torch.bmm(d_s.mT, weight.expand(len(u), -1, -1))
        if u.device.type != "cpu" or u.dtype.itemsize < torch.float32.itemsize:
            return d_u, torch.bmm(d_s, u).sum(0)
        # On a CPU, accumulating sequence by sequence is faster than a batched product and a sum.
        # Half precision is excluded above, because each partial sum would be rounded.
        d_weight = torch.zeros_like(weight)
        for d_row, row in zip(d_s, u, strict=True):
            d_weight.addmm_(d_row, row)
        return d_u, d_weight
