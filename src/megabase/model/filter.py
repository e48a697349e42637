r"""The implicit filter: a small network of the position, under a decaying window.

.. math:: h_t = \mathrm{Window}(t) \cdot (\mathrm{FFN} \circ \mathrm{PositionalEncoding})(t)

=================================  =======================================
Poli, Eq. 7                        Here
=================================  =======================================
:math:`h_0, h_1, \dots`            ``self.forward(length)``
PositionalEncoding                 ``positional_encoding(length, grid)``
FFN, with sine activations         ``self.ffn(z)``
Window                             ``self.window(t)``
=================================  =======================================

The released models (Nguyen) make these choices. All positions are fractions of the grid,
:math:`t_j = j / (T - 1)` for a grid of T positions, so a filter of fewer taps is a
prefix of the longest one and never rescaled. The features are

.. math:: z_j = \bigl[t_j,\ \cos f_k w_j,\ -\sin f_k w_j\bigr], \quad w_j = 2\pi j / T
   :label: positional-encoding

with the frequencies :math:`f_k` evenly spaced from 1e-4 to one less than their
number. The window decays at a rate of its own in each channel and stops at a floor,

.. math:: \mathrm{Window}_c(t) = e^{-t\,|\delta_c|} + \text{shift}
   :label: window

with :math:`\delta_c` evenly spaced so that the window of the slowest channel has
fallen to 0.01 at t = 1.5, and of the fastest at t = 0.3.

Where we leave the released code: grids and rates are computed from numbers whenever
they are needed, not stored. Its two versions disagree on the floor, which is 0.05 in the
inference code and 0 in the training code; here it is a field of the configuration.

Poli et al. 2023, "Hyena Hierarchy", arXiv:2302.10866v3.
Nguyen et al. 2023, "HyenaDNA", arXiv:2306.15794v2, and its released code.
"""

import math
from itertools import pairwise
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from megabase.model.untouched import is_untouched
from megabase.ops.gated_conv import refuse_second_derivative

# Where the slowest and the fastest window have fallen to `_TARGET`, in units of the grid.
_TARGET, _SLOWEST, _FASTEST = 1e-2, 1.5, 0.3
_POSITIONS_AT_ONCE, _POSITIONS_IN_CACHE = 1 << 17, 1 << 13


def positional_encoding(
    positions: range, grid: int, emb_dim: int, like: Tensor
) -> Float[Tensor, "length emb_dim"]:
    """Give the features of some positions, Eq. positional-encoding.

    Parameters
    ----------
    positions
        Positions wanted, in a row.
    grid
        Positions of the whole grid, T.
    emb_dim
        Features of a position: one for t, two for each frequency.
    like
        A tensor with the device and dtype of the answer.
    """
    j = _indices(positions, like)[:, None]
    n_frequencies = (emb_dim - 1) // 2
    f = torch.linspace(1e-4, n_frequencies - 1, n_frequencies, device=j.device, dtype=j.dtype)
    w = 2 * math.pi * j / grid
    return torch.cat([j / (grid - 1), torch.cos(f * w), -torch.sin(f * w)], dim=1)


def _indices(positions: range, like: Tensor) -> Float[Tensor, " length"]:
    return torch.arange(positions.start, positions.stop, device=like.device, dtype=like.dtype)


def _pieces(length: int, most: int) -> list[range]:
    return [range(start, min(start + most, length)) for start in range(0, length, most)]


def decay_rates(n_channels: int, like: Tensor) -> Float[Tensor, " channel"]:
    """Give δ, the rates of Eq. window: negative, slowest first."""
    slowest, fastest = math.log(_TARGET) / _SLOWEST, math.log(_TARGET) / _FASTEST
    return torch.linspace(slowest, fastest, n_channels, device=like.device, dtype=like.dtype)


class ImplicitFilter(nn.Module):
    """Filters of any length up to the grid, from few parameters.

    Parameters
    ----------
    n_filters, d_model
        How many filters for each of how many channels.
    grid
        The longest filter in taps, T; it fixes the time scale of all.
    emb_dim
        Features of a position, odd.
    width
        Units of each hidden layer.
    n_inner
        Hidden layers after the first.
    frequency
        Where the frequency of the sine activations starts.
    shift
        Floor of the window.
    """

    def __init__(
        self,
        n_filters: int,
        d_model: int,
        *,
        grid: int,
        emb_dim: int = 5,
        width: int = 64,
        n_inner: int = 2,
        frequency: float = 10.0,
        shift: float = 0.05,
    ) -> None:
        super().__init__()
        self.n_filters = n_filters
        self.d_model = d_model
        self.grid = grid
        self.emb_dim = emb_dim
        self.shift = shift
        widths = [emb_dim] + [width] * (n_inner + 1)
        hidden = [nn.Linear(a, b) for a, b in pairwise(widths)]
        last = nn.Linear(width, n_filters * d_model, bias=False)
        self.linears = nn.ModuleList([*hidden, last])
        self.frequency = nn.Parameter(torch.full((1, width), frequency))

    def ffn(self, z: Float[Tensor, "length emb_dim"]) -> Float[Tensor, "channel length"]:
        """Apply the network to each position; all sines share one frequency per unit."""
        return self._last(self._hidden(z), slice(None))

    def window(
        self, t: Float[Tensor, " length"], channels: slice = slice(None)
    ) -> Float[Tensor, "channel length"]:
        """Decay from the present backwards, Eq. window."""
        rates = decay_rates(self.n_filters * self.d_model, like=t)[channels]
        return torch.exp(-t * rates.abs()[:, None]) + self.shift

    def forward(self, length: int) -> Float[Tensor, "n_filter d_model length"]:
        """Give the first `length` taps of every filter, in float32 or wider.

        For the gradient only the features are kept, and made again themselves.
        """
        last = self.linears[-1]
        with torch.autocast(self.frequency.device.type, enabled=False):
            if is_untouched(last, nn.Linear):
                pieces = _pieces(length, _POSITIONS_AT_ONCE)
                parts = [checkpoint(self._features, p, use_reentrant=False) for p in pieces]
                h = cast("Tensor", _Taps.apply(torch.cat(parts), last.weight, self))
            else:
                z = positional_encoding(range(length), self.grid, self.emb_dim, self._like())
                h = self.window(z[:, 0]) * self.ffn(z)
        return h.view(self.n_filters, self.d_model, length)

    def features(self, length: int) -> Float[Tensor, "length width"]:
        """Give what the last layer of the network sees at the first `length` positions."""
        like = self._like()
        out = like.new_empty(length, like.shape[-1])
        for positions in _pieces(length, _POSITIONS_IN_CACHE):
            out[positions.start : positions.stop] = self._features(positions)
        return out

    def write_taps(
        self,
        features: Float[Tensor, "length width"],
        channels: slice,
        out: Float[Tensor, "channel length"],
    ) -> None:
        """Write the taps of some channels, of whose positions `features` tells."""
        for positions in _pieces(len(features), _POSITIONS_IN_CACHE):
            piece = slice(positions.start, positions.stop)
            window = self.window_at(positions, features, channels)
            torch.mul(self._last(features[piece], channels), window, out=out[:, piece])

    def window_at(
        self, positions: range, like: Tensor, channels: slice
    ) -> Float[Tensor, "channel length"]:
        """Give the window at some positions of the grid, in some channels."""
        return self.window(_indices(positions, like) / (self.grid - 1), channels)

    def _like(self) -> Tensor:
        return self.frequency.to(torch.promote_types(self.frequency.dtype, torch.float32))

    def _features(self, positions: range) -> Float[Tensor, "length width"]:
        return self._hidden(positional_encoding(positions, self.grid, self.emb_dim, self._like()))

    def _hidden(self, z: Float[Tensor, "length emb_dim"]) -> Float[Tensor, "length width"]:
        for linear in cast("list[nn.Linear]", list(self.linears)[:-1]):
            if is_untouched(linear, nn.Linear):
                mapped = functional.linear(z, linear.weight.to(z.dtype), linear.bias.to(z.dtype))
            else:
                mapped = linear(z)
            z = torch.sin(self.frequency.to(z.dtype) * mapped)
        return z

    def _last(
        self, z: Float[Tensor, "length width"], channels: slice
    ) -> Float[Tensor, "channel length"]:
        last = cast("nn.Linear", self.linears[-1])
        if not is_untouched(last, nn.Linear):
            return last(z).t()[channels]
        return functional.linear(last.weight[channels].to(z.dtype), z)


class _Taps(torch.autograd.Function):
    """Window times last layer, whose parts are made again for the gradient, piece by piece."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        features: Tensor,
        weight: Tensor,
        filters: ImplicitFilter,
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.filters = filters
        h = features.new_empty(len(weight), len(features))
        filters.write_taps(features, slice(None), h)
        return h

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        d_h: Tensor,
    ) -> tuple[Tensor, Tensor, None]:
        refuse_second_derivative()
        features, weight = ctx.saved_tensors
        wide = weight.to(features.dtype)
        d_features, d_weight = torch.empty_like(features), torch.zeros_like(wide)
        for positions in _pieces(len(features), _POSITIONS_IN_CACHE):
            piece = slice(positions.start, positions.stop)
            window = ctx.filters.window_at(positions, features, slice(None))
            d_mapped = d_h[:, piece] * window
            d_weight += d_mapped @ features[piece]
            d_features[piece] = d_mapped.t() @ wide
        return d_features, d_weight.to(weight.dtype), None
