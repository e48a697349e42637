"""The short convolution with torch: of whole streams, and of tiles with their gradient.

`definition.short_conv` is the sum that defines it. The C code and the Triton kernels have one
implementation each, fused with the gates.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from megabase.ops import definition


class ShortFilter(NamedTuple):
    """The short filter of each channel of each stream.

    Attributes
    ----------
    taps
        Taps, that of the present token last, as in `torch.nn.Conv1d`.
    bias
        Added at every token.
    edge
        Added in addition at the first tokens: one column for each tap but one.
    """

    taps: Float[Tensor, "stream_channel tap"]
    bias: Float[Tensor, " stream_channel"]
    edge: Float[Tensor, "stream_channel tap-1"]

    def wide(self) -> "ShortFilter":
        """Return this filter in float32 or wider."""
        return ShortFilter(*(t.to(torch.promote_types(t.dtype, torch.float32)) for t in self))


def without_edge(
    taps: Float[Tensor, "stream_channel tap"], bias: Float[Tensor, " stream_channel"]
) -> ShortFilter:
    """Return the short filter of these taps and bias, with an edge of zero."""
    return ShortFilter(taps, bias, torch.zeros_like(taps[:, 1:]))


def with_input_bias(
    taps: Float[Tensor, "stream_channel tap"],
    bias: Float[Tensor, " stream_channel"],
    input_bias: Float[Tensor, " stream_channel"],
) -> ShortFilter:
    """Return the short filter whose output on p is that of taps and bias on p + `input_bias`.

    Before the first token the input is zero without the input bias. The edge subtracts what the
    bias would have added there.

    Parameters
    ----------
    taps, bias
        Of the filter that is applied to p + `input_bias`.
    input_bias
        Added to each channel of p.
    """
    before = taps[:, :-1].cumsum(1).flip(1)  # at token t, the sum of the taps that lie before 0
    return ShortFilter(taps, bias + taps.sum(1) * input_bias, -before * input_bias[:, None])


def plain_short_conv(
    streams: Float[Tensor, "batch channel length"], short: ShortFilter
) -> Float[Tensor, "batch channel length"]:
    """Apply the short filters to whole streams; the result is twice differentiable."""
    length = streams.shape[-1]
    edge = functional.pad(short.edge, (0, length))[:, :length]
    return definition.short_conv(streams, short.taps, short.bias) + edge


def apply_short(
    stream: Float[Tensor, "batch channel length"],
    short: ShortFilter,
    out: Float[Tensor, "batch channel length"],
) -> Float[Tensor, "batch channel length"]:
    """Apply the short filters to some channels, and return the result.

    Parameters
    ----------
    stream
        The channels, of any dtype.
    short
        Their short filters.
    out
        Receives the result; the arithmetic is in its dtype.
    """
    taps, bias, edge = short
    length = out.shape[-1]
    stream = stream.to(out.dtype)
    torch.mul(stream, taps[:, -1:], out=out).add_(bias[:, None])
    out[..., : edge.shape[1]] += edge[:, :length]
    for lag in range(1, min(taps.shape[1], length)):
        out[..., lag:].addcmul_(stream[..., :-lag], taps[:, -1 - lag, None])
    return out


def short_backward(
    d_out: Float[Tensor, "batch channel length"],
    stream: Float[Tensor, "batch channel length"],
    short: ShortFilter,
    *,
    d_stream: Float[Tensor, "batch channel length"],
    d_short: ShortFilter,
) -> None:
    """Write the gradients of the inputs of `apply_short`.

    Parameters
    ----------
    d_out
        Gradient of its output.
    stream, short
        As passed to it.
    d_stream, d_short
        Receive their gradients.
    """
    taps, n_taps, length = short.taps, short.taps.shape[1], d_out.shape[-1]
    d_p = d_out * taps[:, -1:]
    stream = stream.to(d_out.dtype)
    d_short.taps.zero_()
    for lag in range(min(n_taps, length)):
        later, earlier = d_out[..., lag:], stream[..., : length - lag]
        if lag:
            d_p[..., :-lag].addcmul_(later, taps[:, -1 - lag, None])
        d_short.taps[:, -1 - lag] = torch.linalg.vecdot(later, earlier).sum(0)
    d_stream.copy_(d_p)
    d_short.bias.copy_(d_out.sum((0, 2)))
    d_short.edge.zero_()
    d_short.edge[:, :length] = d_out[..., : n_taps - 1].sum(0)
