"""The door to the kernels for GPUs: Triton, which comes with torch's builds for them.

They were tested in Triton's interpreter and compiled, and are used where they are asked for.
"""

import os
from importlib.util import find_spec

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from megabase.ops.gated_conv import ShortFilter


def why_no_kernels(like: Tensor) -> str | None:
    """Say why a tensor like this one cannot go through the kernels, or None if it can."""
    if find_spec("triton") is None:
        return "triton is not installed"
    if like.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return f"it runs on {like.device.type}"
    if like.dtype is torch.float64:
        return "they compute in float32, and it is float64"
    return None


def gated_conv(
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> Float[Tensor, "batch channel length"]:
    """Compute `gated_conv.gated_conv`."""
    from megabase.ops import triton_gates

    return triton_gates.gated_conv(streams, short, h, d, mask)


def add_norm(
    r: Float[Tensor, "batch length d_model"],
    y: Float[Tensor, "batch length d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    eps: float,
) -> tuple[Float[Tensor, "batch length d_model"], Float[Tensor, "batch length d_model"]]:
    """Add y to the residual stream r, and give the sum and its norm, as layer_norm has it."""
    from megabase.ops import triton_norm

    total, normed = triton_norm.add_norm(r.flatten(0, 1), y.flatten(0, 1), weight, bias, eps)
    return total.view_as(r), normed.view_as(r)


def causal_conv(
    u: Float[Tensor, "batch channel length"],
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
) -> Float[Tensor, "batch channel length"]:
    """Compute `reference.causal_conv` for lengths up to 32,768."""
    from megabase.ops import triton_conv

    return triton_conv.causal_conv(u, h, d)
