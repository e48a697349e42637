"""Entry point of the Triton kernels for GPUs; Triton is imported only when one is called.

The kernels are tested both compiled and in Triton's interpreter. They run only if requested.
"""

import os
from importlib.util import find_spec

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from megabase.ops.gated_conv import ShortFilter


def why_no_kernels(like: Tensor) -> str | None:
    """Return why the kernels cannot process a tensor like this one, or None if they can."""
    if find_spec("triton") is None:
        return "triton is not installed"
    if like.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return f"the model is on {like.device.type}; the kernels need a CUDA device"
    if like.dtype is torch.float64:
        return "the kernels compute in float32, and the model is float64"
    return None


def gated_conv(
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> Float[Tensor, "batch channel length"]:
    """Compute `ops.gated_conv.gated_conv`, whose parameters these are, by Triton kernels."""
    from megabase.ops.triton import gates

    return gates.gated_conv(streams, short, h, d, mask)


def add_norm(
    r: Float[Tensor, "batch length d_model"],
    y: Float[Tensor, "batch length d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    eps: float,
) -> tuple[Float[Tensor, "batch length d_model"], Float[Tensor, "batch length d_model"]]:
    """Add `y` to the residual stream `r`, and return the sum and its layer norm.

    Parameters
    ----------
    r, y
        The residual stream in float32, and what a branch adds to it.
    weight, bias, eps
        As in `torch.nn.functional.layer_norm`.
    """
    from megabase.ops.triton import norm

    total, normed = norm.add_norm(r.flatten(0, 1), y.flatten(0, 1), weight, bias, eps)
    return total.view_as(r), normed.view_as(r)
