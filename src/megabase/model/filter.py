r"""The implicit filter: a small network of the position, times a decaying window.

.. math:: h_t = \mathrm{Window}(t) \cdot (\mathrm{FFN} \circ \mathrm{PositionalEncoding})(t)

=================================  =======================================
Poli, Eq. 7                        Here
=================================  =======================================
:math:`h_0, h_1, \dots`            ``self.forward(length)``
PositionalEncoding                 ``self.shape.features(positions)``
FFN, with sine activations         ``self.ffn(z)``
Window                             ``self.window(positions)``
=================================  =======================================

`filter_shape` defines the two families of encoding and window. A shorter filter is a prefix of
the longest one; it is never rescaled. Near taps are optional free parameters, which are added to
the first n taps of a filter,

.. math:: h'_{c,j} = h_{c,j} + \mathrm{near}_{c,j} \quad (j < n)
   :label: near-taps

so that the weights of the last bases need not be a smooth function of the distance.

Poli et al. 2023, "Hyena Hierarchy", arXiv:2302.10866v3; near taps are our own.
"""

from itertools import pairwise
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from megabase.model.filter_shape import FilterShape
from megabase.model.made_again import recomputed
from megabase.model.untouched import is_untouched
from megabase.ops.tracing import static_size, why_traced

_POSITIONS_AT_ONCE, _POSITIONS_IN_CACHE = 1 << 17, 1 << 13


def _pieces(length: int, most: int) -> list[range]:
    return [range(start, min(start + most, length)) for start in range(0, length, most)]


class ImplicitFilter(nn.Module):
    """Filters of any length up to the grid, computed from few parameters.

    Parameters
    ----------
    n_filters, d_model
        Number of filters of a channel, and number of channels.
    shape
        Features of positions, and the window.
    width
        Units of each hidden layer.
    n_inner
        Hidden layers after the first.
    frequency
        Initial frequency of the sine activations.
    n_near_taps
        Taps, from the present backwards, to which free parameters are added; these start at 0.
    """

    def __init__(
        self,
        n_filters: int,
        d_model: int,
        shape: FilterShape,
        *,
        width: int = 64,
        n_inner: int = 2,
        frequency: float = 10.0,
        n_near_taps: int = 0,
    ) -> None:
        super().__init__()
        self.n_filters = n_filters
        self.d_model = d_model
        self.shape = shape
        widths = [shape.emb_dim] + [width] * (n_inner + 1)
        hidden = [nn.Linear(a, b) for a, b in pairwise(widths)]
        last = nn.Linear(width, n_filters * d_model, bias=False)
        self.linears = nn.ModuleList([*hidden, last])
        self.frequency = nn.Parameter(torch.full((1, width), frequency))
        near = torch.zeros(n_filters * d_model, n_near_taps) if n_near_taps else None
        self.near = None if near is None else nn.Parameter(near)

    def ffn(self, z: Float[Tensor, "length emb_dim"]) -> Float[Tensor, "channel length"]:
        """Apply the network to positional features; a unit has one frequency in all layers."""
        return self._last(self._hidden(z), slice(None))

    def window(
        self, positions: range, like: Tensor, channels: slice = slice(None)
    ) -> Float[Tensor, "channel length"]:
        """Return the window at some positions of the grid, in some channels."""
        return self.shape.window(positions, like, channels)

    def forward(self, length: int) -> Float[Tensor, "n_filter d_model length"]:
        """Return the first `length` taps of every filter, in float32 or wider.

        Only the last features are saved for the gradient; what led to them is recomputed.
        """
        last = self.linears[-1]
        with torch.autocast(self.frequency.device.type, enabled=False):
            if is_untouched(last, nn.Linear) and why_traced(self.frequency) is None:
                pieces = _pieces(length, _POSITIONS_AT_ONCE)
                parts = [recomputed(self._features, p) for p in pieces]
                h = cast("Tensor", _Taps.apply(torch.cat(parts), last.weight, self.near, self))
            else:
                like = self._like()
                z = self.shape.features(range(length), like)
                h = self._with_near(self.window(range(length), like) * self.ffn(z))
        return h.view(self.n_filters, self.d_model, length)

    def features(self, length: int) -> Float[Tensor, "length width"]:
        """Return the input of the last layer of the network at the first `length` positions."""
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
        """Write the taps of some channels.

        Parameters
        ----------
        features
            What the method `features` returned.
        channels
            Rows of the taps to compute.
        out
            Receives the taps.
        """
        for positions in _pieces(len(features), _POSITIONS_IN_CACHE):
            piece = slice(positions.start, positions.stop)
            window = self.window(positions, features, channels)
            torch.mul(self._last(features[piece], channels), window, out=out[:, piece])
        if self.near is not None:
            n = min(self.near.shape[1], len(features))
            out[:, :n] += self.near[channels, :n]

    def _like(self) -> Tensor:
        return self.frequency.to(torch.promote_types(self.frequency.dtype, torch.float32))

    def _features(self, positions: range) -> Float[Tensor, "length width"]:
        return self._hidden(self.shape.features(positions, self._like()))

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

    def _with_near(self, h: Float[Tensor, "channel length"]) -> Float[Tensor, "channel length"]:
        """Add near taps, Eq. near-taps."""
        if self.near is None:
            return h
        n = min(static_size(self.near, 1), static_size(h, 1))
        return torch.cat([h[:, :n] + self.near[:, :n], h[:, n:]], dim=1)


class _Taps(torch.autograd.Function):
    """Window times last layer; the window is recomputed for the gradient, piece by piece."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        features: Tensor,
        weight: Tensor,
        near: Tensor | None,
        filters: ImplicitFilter,
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.filters, ctx.near = filters, None if near is None else (near.shape, near.dtype)
        h = features.new_empty(len(weight), len(features))
        filters.write_taps(features, slice(None), h)
        return h

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        d_h: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        # h = window * (weight @ features^T): the window has no parameters, so it is recomputed.
        wide = weight.to(features.dtype)
        d_features, d_weight = torch.empty_like(features), torch.zeros_like(wide)
        for positions in _pieces(len(features), _POSITIONS_IN_CACHE):
            piece = slice(positions.start, positions.stop)
            window = ctx.filters.window(positions, features, slice(None))
            d_mapped = d_h[:, piece] * window
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
