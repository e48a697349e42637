"""The mixing of the operator with its gradient, compiled; it keeps only streams and filter."""

from collections.abc import Callable, Iterator
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
from megabase.ops.native_mixer import MOST_LANES, NativeMixer

_AT_ONCE = 64  # channels


def gated_conv(
    make_mixer: Callable[[], NativeMixer],
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> Float[Tensor, "batch channel length"]:
    """Compute `gated_conv.gated_conv`, with a mixer for each way: none is kept in between."""
    rows = streams.contiguous()
    return cast("Tensor", _GatedConv.apply(make_mixer, rows, *short, h, d, mask))


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
        y, short = streams.new_empty(len(streams), *h.shape), _rows_of(taps, bias, edge)
        for rows in _pieces(len(h)):
            long = with_skip(h[rows], d[rows]).contiguous()
            long = mixer.spectra_of(long) if len(streams) > 1 else long
            mixer.mix(split_streams(streams, short, rows), mask, long, out=y[:, rows])
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
        d_h, mixer = torch.empty_like(h), ctx.make_mixer()
        for rows in _pieces(len(h)):
            parts = split_streams(streams, short, rows)
            d_parts = split_streams(d_streams, d_short, rows)
            long = with_skip(h[rows], d[rows]).contiguous()
            piece = dy[:, rows].contiguous()
            d_h[rows] = mixer.mix_backward(piece, parts, d_parts, mask, long)
        return None, d_streams, *d_short, d_h, d_h[:, 0], None  # the skip is in the first tap


def _pieces(n_channels: int) -> Iterator[slice]:
    """Divide channels so that every thread has some vectors of each, and copies are small."""
    at_once = max(_AT_ONCE, 2 * MOST_LANES * torch.get_num_threads())
    for start in range(0, n_channels, at_once):
        yield slice(start, min(start + at_once, n_channels))


def _rows_of(*short: Tensor) -> ShortFilter:
    return ShortFilter(*(t.contiguous() for t in short))
