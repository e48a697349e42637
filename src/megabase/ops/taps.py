r"""The taps of filters from the features of positions, in pieces that fit the caches of a CPU.

.. math:: h_{c,t} = \operatorname{window}_c(t) \sum_k W_{c,k}\, z_{t,k}

with near taps added to the first. Only the features z are saved for the gradient: what led to them
is recomputed, and so is the window, which has no parameters. `with_skip` adds the skip weight of a
convolution to its first tap.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from megabase.ops.recompute import recomputed

_POSITIONS_AT_ONCE, _POSITIONS_IN_CACHE = 1 << 17, 1 << 13

Features = Callable[[range], Tensor]
"""Returns the features of some positions, (length, width)."""

Window = Callable[[range, Tensor, slice], Tensor]
"""Returns the window at some positions, (channel, length), like a tensor, in some channels."""


def recomputed_features(features: Features, length: int) -> Float[Tensor, "length width"]:
    """Return the features of the first positions; what leads to them is recomputed for a gradient.

    Parameters
    ----------
    features
        Computes them.
    length
        Number of positions.
    """
    return torch.cat([recomputed(features, p) for p in _pieces(length, _POSITIONS_AT_ONCE)])


def features_in_pieces(
    features: Features, length: int, like: Float[Tensor, "row width"]
) -> Float[Tensor, "length width"]:
    """Return the features of the first positions, without gradients.

    Parameters
    ----------
    features
        Computes them.
    length
        Number of positions.
    like
        Tensor of their width, dtype and device.
    """
    out = like.new_empty(length, like.shape[-1])
    for positions in _pieces(length, _POSITIONS_IN_CACHE):
        out[positions.start : positions.stop] = features(positions)
    return out


def windowed_taps(
    features: Float[Tensor, "length width"],
    weight: Float[Tensor, "channel width"],
    near: Float[Tensor, "channel near"] | None,
    window: Window,
) -> Float[Tensor, "channel length"]:
    """Return the taps of all channels, differentiably.

    Parameters
    ----------
    features
        The features z.
    weight
        The weight W, of any dtype.
    near
        Added to the first taps.
    window
        Computes the window.
    """
    return cast("Tensor", _Taps.apply(features, weight, near, window))


def write_taps(
    features: Float[Tensor, "length width"],
    weight: Float[Tensor, "all_channels width"],
    near: Float[Tensor, "all_channels near"] | None,
    window: Window,
    *,
    channels: slice,
    out: Float[Tensor, "channel length"],
) -> None:
    """Write the taps of some channels.

    Parameters
    ----------
    features, weight, near, window
        As in `windowed_taps`.
    channels
        Rows of the taps to compute.
    out
        Receives the taps.
    """
    for positions in _pieces(len(features), _POSITIONS_IN_CACHE):
        piece = slice(positions.start, positions.stop)
        mapped = functional.linear(weight[channels].to(features.dtype), features[piece])
        torch.mul(mapped, window(positions, features, channels), out=out[:, piece])
    if near is not None:
        n = min(near.shape[1], len(features))
        out[:, :n] += near[channels, :n]


def with_skip(
    h: Float[Tensor, "channel length"], d: Float[Tensor, " channel"]
) -> Float[Tensor, "channel length"]:
    """Return the long filter `h` with the skip weight `d` in its first tap, float32 or wider."""
    wide = torch.promote_types(h.dtype, torch.float32)
    taps = h.to(wide, copy=True, memory_format=torch.contiguous_format)
    return add_skip(taps, d)


def add_skip(
    taps: Float[Tensor, "channel length"], d: Float[Tensor, " channel"]
) -> Float[Tensor, "channel length"]:
    """Add the skip weight `d` to the first tap, in place, and return the taps."""
    taps[:, 0] += d
    return taps


class _Taps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        features: Tensor,
        weight: Tensor,
        near: Tensor | None,
        window: Window,
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.window, ctx.near = window, None if near is None else (near.shape, near.dtype)
        h = features.new_empty(len(weight), len(features))
        write_taps(features, weight, near, window, channels=slice(None), out=h)
        return h

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        d_h: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        wide = weight.to(features.dtype)
        d_features, d_weight = torch.empty_like(features), torch.zeros_like(wide)
        for positions in _pieces(len(features), _POSITIONS_IN_CACHE):
            piece = slice(positions.start, positions.stop)
            d_mapped = d_h[:, piece] * ctx.window(positions, features, slice(None))
            d_weight += d_mapped @ features[piece]
            d_features[piece] = d_mapped.t() @ wide
        return d_features, d_weight.to(weight.dtype), _of_near(d_h, ctx.near), None


def _of_near(d_h: Tensor, near: tuple[torch.Size, torch.dtype] | None) -> Tensor | None:
    """Return the gradient of the near taps, 0 where the filter was shorter."""
    if near is None:
        return None
    shape, dtype = near
    first = d_h[:, : shape[1]]
    return functional.pad(first, (0, shape[1] - first.shape[1])).to(dtype)


def _pieces(length: int, most: int) -> list[range]:
    return [range(start, min(start + most, length)) for start in range(0, length, most)]
