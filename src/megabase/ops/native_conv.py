"""The mixing of the operator with its gradient, compiled; it keeps only streams and filter."""

from collections.abc import Callable
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from megabase.ops.gated_conv import (
    ShortFilter,
    refuse_second_derivative,
    split_streams,
    with_skip,
)
from megabase.ops.native_mixer import NativeMixer


def gated_conv(
    make_mixer: Callable[[], NativeMixer],
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> Float[Tensor, "batch channel length"]:
    """Compute `gated_conv.gated_conv`, with a mixer for each way: none is kept in between."""
    return cast("Tensor", _GatedConv.apply(make_mixer, streams, *short, h, d, mask))


class _GatedConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        make_mixer: Callable[[], NativeMixer],
        streams: Tensor,
        taps: Tensor,
        bias: Tensor,
        edge: Tensor,
        h: Tensor,
        d: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(streams, taps, bias, edge, h, d, mask)
        ctx.make_mixer, mixer = make_mixer, make_mixer()
        long, y = with_skip(h, d), streams.new_empty(len(streams), *h.shape)
        if len(streams) > 1:
            long = mixer.spectra_of(long)
        parts = split_streams(streams, _rows_of(taps, bias, edge), slice(0, len(h)))
        mixer.mix(parts, mask, long, out=y)
        return y

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        dy: Tensor,
    ) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        streams, taps, bias, edge, h, d, mask = ctx.saved_tensors
        short = _rows_of(taps, bias, edge)
        d_streams, d_short = torch.empty_like(streams), ShortFilter(*map(torch.empty_like, short))
        every = slice(0, len(h))
        parts = split_streams(streams, short, every)
        d_parts = split_streams(d_streams, d_short, every)
        long = with_skip(h, d)
        d_h = ctx.make_mixer().mix_backward(dy.contiguous(), parts, d_parts, mask, long)
        return None, d_streams, *d_short, d_h, d_h[:, 0], None  # the skip is in the first tap


def _rows_of(*short: Tensor) -> ShortFilter:
    return ShortFilter(*(t.contiguous() for t in short))
