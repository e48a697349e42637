r"""The Hyena filter, operator and block, equation by equation.

**The implicit filter**: a small network of the lag j, the distance between a position and an
earlier one, times a window. c runs over all filters of all channels.

.. math:: h_{c,j} = \mathrm{Window}_c(j) \cdot
          (\mathrm{FFN} \circ \mathrm{PositionalEncoding})_c(j)

=================================  =======================================
Poli, Eq. 7                        `ImplicitFilter`
=================================  =======================================
:math:`h_0, h_1, \dots`            ``self.forward(length)``
PositionalEncoding                 ``self.shape.features(positions)``
FFN, with sine activations         ``self.ffn(z)``
Window                             ``self.window(positions)``
=================================  =======================================

`model.positions` defines the two families of encoding and window: the published window decays to
a floor, ours (scale-free) to 0. A filter is defined up to the maximum length of the model, the
grid; a shorter filter is a prefix of it, because positions are divided by the length of the grid
and never by the current length. Near taps are optional free parameters, which are added at the
k shortest lags,

.. math:: h'_{c,j} = h_{c,j} + \mathrm{near}_{c,j} \quad (j < k)
   :label: near-taps

so that the filter at these lags need not be a smooth function of the lag.

**The operator**: element-wise gates with long convolutions between them. With the order N,

.. math:: z^1 = x^1 \odot v, \qquad
          z^{n+1} = x^{n+1} \odot (h^{n+1} * z^n + d^{n+1} \odot z^n), \qquad
          y = W_{\mathrm{out}}\, z^N

where d is a weight for each filter and channel, the skip, which adds to tap 0.

=======================================================  ==================================
Papers                                                   `HyenaOperator`
=======================================================  ==================================
:math:`N`, the order                                     ``order``, the number of gates
:math:`v, x^1, \dots, x^N` (Poli, Algorithm 1)           ``v, gates = self.project(u)``
:math:`h^2, \dots, h^N` (of Poli, Algorithm 2)           ``self.filters(length)``
:math:`D_{x^2} (T_h + D_d) D_{x^1} v` (Nguyen, Eq. 3.1)  ``self.mix(v, gates, filters)``
the forward pass (Poli, Algorithm 3), and the output     ``self.forward(u)``
=======================================================  ==================================

**The block** of the residual stream r: r + operator(norm(r)), then r + MLP(norm(r)).

HyenaDNA differs from Poli, whose Definition 3.1 convolves before every gate, with the filters
:math:`h^1, \dots, h^N`: it leaves out the first one (a unit impulse in its place), adds the skip d
and the output projection, and stores the gates in the reverse of the order in which they are
applied.

We differ from both: padding is set to zero before each convolution, short or long, so that the
output of a sequence does not depend on padding on either side; near taps and the scale-free family
are options; and filters are computed in float32 or float64.

Poli et al. 2023, "Hyena Hierarchy", arXiv:2302.10866v3.
Nguyen et al. 2023, "HyenaDNA", arXiv:2306.15794v2.
"""

from functools import partial
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from megabase.model.positions import FilterShape
from megabase.ops.backends import add_norm, gated_conv, long_conv
from megabase.ops.recompute import in_parts, recompute_saved
from megabase.ops.short_conv import ShortFilter, with_input_bias, without_edge
from megabase.ops.steps import into_channels
from megabase.ops.taps import features_in_pieces, recomputed_features, windowed_taps, write_taps
from megabase.ops.tracing import has_hooks, is_unmodified, static_size, why_traced


class ImplicitFilter(nn.Module):
    """Filters of any length up to the grid, computed from few parameters.

    Parameters
    ----------
    n_filters, d_model
        Filters of each channel (the order of the operator minus 1), and number of channels.
    shape
        Features of positions, and the window.
    width
        Units of each hidden layer.
    n_inner
        Hidden layers after the first.
    frequency
        Initial frequency of the sine activations.
    n_near_taps
        Shortest lags at which free parameters are added to the taps; these start at 0.
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
        """Apply the network to positional features; a unit's frequency is that of all layers."""
        z, last = self._hidden(z), cast("nn.Linear", self.linears[-1])
        if is_unmodified(last, nn.Linear):
            return functional.linear(last.weight.to(z.dtype), z)
        return last(z).t()

    def window(
        self, positions: range, like: Tensor, channels: slice = slice(None)
    ) -> Float[Tensor, "channel length"]:
        """Return the window at some positions of the grid, in some channels."""
        return self.shape.window(positions, like, channels)

    def forward(self, length: int) -> Float[Tensor, "n_filter d_model length"]:
        """Return the first `length` taps of every filter, in float32 or float64.

        Only the input of the last layer is saved for the gradient; earlier layers are recomputed.
        """
        last = cast("nn.Linear", self.linears[-1])
        with torch.autocast(self.frequency.device.type, enabled=False):
            if is_unmodified(last, nn.Linear) and why_traced(self.frequency) is None:
                z = recomputed_features(self._features, length)
                h = windowed_taps(z, last.weight, self.near, self.window)
            else:
                like = self._like()
                z = self.shape.features(range(length), like)
                h = self._with_near(self.window(range(length), like) * self.ffn(z))
        return h.view(self.n_filters, self.d_model, length)

    def features(self, length: int) -> Float[Tensor, "length width"]:
        """Return the input of the last layer of the network at the first `length` positions."""
        return features_in_pieces(self._features, length, self._like())

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
            Input of the last layer, from `features`.
        channels
            Rows of the taps to compute.
        out
            Receives the taps.
        """
        weight = cast("nn.Linear", self.linears[-1]).weight
        write_taps(features, weight, self.near, self.window, channels=channels, out=out)

    def _like(self) -> Tensor:
        return self.frequency.to(torch.promote_types(self.frequency.dtype, torch.float32))

    def _features(self, positions: range) -> Float[Tensor, "length width"]:
        return self._hidden(self.shape.features(positions, self._like()))

    def _hidden(self, z: Float[Tensor, "length emb_dim"]) -> Float[Tensor, "length width"]:
        for linear in cast("list[nn.Linear]", list(self.linears)[:-1]):
            if is_unmodified(linear, nn.Linear):
                mapped = functional.linear(z, linear.weight.to(z.dtype), linear.bias.to(z.dtype))
            else:
                mapped = linear(z)
            z = torch.sin(self.frequency.to(z.dtype) * mapped)
        return z

    def _with_near(self, h: Float[Tensor, "channel length"]) -> Float[Tensor, "channel length"]:
        """Add near taps, Eq. near-taps."""
        if self.near is None:
            return h
        n = min(static_size(self.near, 1), static_size(h, 1))
        return torch.cat([h[:, :n] + self.near[:, :n], h[:, n:]], dim=1)


class ResidualLinear(nn.Linear):
    """A linear map whose output is added to the residual stream.

    It is a class of its own so that it is recognised at initialisation: its initial weights are
    smaller in deeper models; see `modeling.HyenaDNAPreTrainedModel`.
    """


class HyenaOperator(nn.Module):
    """Mixes a sequence along its length at sub-quadratic cost.

    Parameters
    ----------
    d_model
        Channels of the residual stream, D in the papers.
    filters
        Maps a length in tokens to ``order - 1`` filters with that many taps.
    order
        Number of gates, N in the papers; HyenaDNA uses 2.
    short_length
        Taps of the depth-wise convolution after the projections.

    Raises
    ------
    ValueError
        If the order is below 2.
    """

    def __init__(
        self, d_model: int, filters: nn.Module, *, order: int = 2, short_length: int = 3
    ) -> None:
        super().__init__()
        if order < 2:
            raise ValueError(f"order must be at least 2 (a gate on each side), got {order}")
        streams = (order + 1) * d_model
        self.d_model = d_model
        self.order = order
        self.in_proj = nn.Linear(d_model, streams)
        self.short_conv = nn.Conv1d(
            streams, streams, short_length, groups=streams, padding=short_length - 1
        )
        self.filters = filters
        self.skip = nn.Parameter(torch.randn((order - 1) * d_model))
        self.out_proj = ResidualLinear(d_model, d_model)

    def project(
        self,
        u: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> tuple[Float[Tensor, "batch d_model length"], list[Tensor]]:
        """Compute the value v and the gates x¹ … xᴺ, each (batch, d_model, length)."""
        length = static_size(u, 1)
        streams = _without_padding(self.in_proj(u).transpose(1, 2), mask)
        # Conv1d pads both sides; the first `length` outputs are the causal ones.
        *gates, v = self.short_conv(streams)[..., :length].chunk(self.order + 1, dim=1)
        return v, gates[::-1]  # stored in the reverse of the order in which they are applied

    def mix(
        self,
        v: Float[Tensor, "batch d_model length"],
        gates: list[Tensor],
        filters: Float[Tensor, "n_filters d_model length"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> Float[Tensor, "batch d_model length"]:
        """Apply the first gate; then, for each filter, convolve and apply the next gate."""
        first, *rest = gates
        z = first * v
        skip = self.skip.view(-1, self.d_model).unbind()
        for x, h, d in zip(rest, filters.unbind(), skip, strict=True):
            z = x * long_conv(_without_padding(z, mask), h, d)
        return z

    def forward(
        self,
        u: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
        *,
        engine: str = "plain",
    ) -> Float[Tensor, "batch length d_model"]:
        """Mix `u` along its length; the output at a token does not depend on later tokens.

        Parameters
        ----------
        u
            The normed residual stream.
        mask
            False where a token is padding, which does not affect other tokens.
        engine
            One of `backends.ENGINES`, implementations that compute the same. All but ``"plain"``
            use `mix_at_once` for operators of order 2, in place of `project` and `mix`.
        """
        over_channels = None if mask is None else mask[:, None]
        if engine != "plain" and self.order == 2 and self._has_plain_short_conv():
            y = self.mix_at_once(u, over_channels, engine)
        else:
            v, gates = self.project(u, over_channels)
            y = self.mix(v, gates, self.filters(static_size(u, 1)), over_channels)
        return self.out_proj(y.transpose(1, 2))

    def mix_at_once(
        self,
        u: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch 1 length"] | None,
        engine: str,
    ) -> Float[Tensor, "batch d_model length"]:
        """Project, and mix by `gated_conv`, which recomputes most of what the gradient needs.

        Parameters
        ----------
        u
            The normed residual stream.
        mask
            False where a token is padding.
        engine
            ``"triton"`` for GPU kernels; any other name for the fastest steps on this device.
        """
        streams, short = self._streams(u, mask)
        length = u.shape[1]
        h = self.filters(length)[0]
        is_watched = any(map(has_hooks, self.filters.modules()))  # hooks would run a second time
        with recompute_saved(h, lambda: self.filters(length)[0], when=not is_watched):
            return gated_conv(streams, short, h, self.skip, mask, engine=engine)

    def _streams(
        self, u: Float[Tensor, "batch length d_model"], mask: Bool[Tensor, "batch 1 length"] | None
    ) -> tuple[Float[Tensor, "batch stream_channel length"], ShortFilter]:
        """Return the projected streams and their short filters."""
        taps, bias = self.short_conv.weight[:, 0], cast("Tensor", self.short_conv.bias)
        has_bias = cast("Tensor | None", self.in_proj.bias) is not None
        if mask is None and has_bias and is_unmodified(self.in_proj, nn.Linear):
            # Without a mask, the input bias can be folded into the short filter.
            streams = into_channels(u, self.in_proj.weight)
            return streams, with_input_bias(taps, bias, self.in_proj.bias)
        streams = _without_padding(self.in_proj(u).transpose(1, 2), mask)
        return streams, without_edge(taps, bias)

    def _has_plain_short_conv(self) -> bool:
        return is_unmodified(self.short_conv, nn.Conv1d) and self.short_conv.bias is not None


def _without_padding(
    signal: Float[Tensor, "batch channel length"], mask: Bool[Tensor, "batch 1 length"] | None
) -> Float[Tensor, "batch channel length"]:
    return signal if mask is None else signal.masked_fill(~mask, 0.0)


class MLP(nn.Module):
    """Two linear maps with a GELU between them, applied to each token.

    The GELU is the tanh approximation with which the released weights were trained.

    Parameters
    ----------
    d_model, d_inner
        Channels of the input and output, and between the maps.
    """

    def __init__(self, d_model: int, d_inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, d_inner)
        self.fc2 = ResidualLinear(d_inner, d_model)

    def forward(
        self, u: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch length d_model"]:
        """Map each token."""
        return self.fc2(functional.gelu(self.fc1(u), approximate="tanh"))


class Block(nn.Module):
    """One layer of a pre-norm decoder, with any mixer in place of attention.

    Parameters
    ----------
    mixer
        Mixes along the length: ``mixer(u, mask, engine=engine)`` with `u` (batch, length, d_model).
    d_model, d_inner
        Channels of the residual stream, and inside the MLP.
    eps
        Added to the variance by the norms.
    """

    def __init__(self, mixer: nn.Module, *, d_model: int, d_inner: int, eps: float) -> None:
        super().__init__()
        self.norm_mixer = nn.LayerNorm(d_model, eps=eps)
        self.mixer = mixer
        self.norm_mlp = nn.LayerNorm(d_model, eps=eps)
        self.mlp = MLP(d_model, d_inner)

    def forward(
        self,
        r: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
        *,
        engine: str = "plain",
    ) -> Float[Tensor, "batch length d_model"]:
        """Return the residual stream `r` after this block, in its dtype.

        Parameters
        ----------
        r
            The residual stream, which may have a higher precision than the weights.
        mask
            False where a token is padding.
        engine
            One of `backends.ENGINES`. All but ``"plain"`` recompute for the gradient.
        """
        u = self._normed(r)
        is_cheap = engine != "plain" and is_unmodified(self.norm_mixer, nn.LayerNorm)
        with recompute_saved(u, partial(self._normed, r), when=is_cheap):
            y = self.mixer(u, mask, engine=engine)
        watched = any(has_hooks(module) for module in (self.norm_mlp, *self.mlp.modules()))
        norm = self.norm_mlp
        if engine == "triton" and not watched and is_unmodified(norm, nn.LayerNorm):
            r, u = add_norm(r, y, norm.weight, norm.bias, norm.eps)
            return r + in_parts(self.mlp, u, self.mlp.fc1.out_features)
        r = r + y
        if engine == "plain" or watched:  # hooks must see whole sequences
            return self._feed_forward(r)
        return in_parts(self._feed_forward, r, self.mlp.fc1.out_features)

    def _normed(
        self, r: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch length d_model"]:
        return self.norm_mixer(r.to(self.norm_mixer.weight.dtype))

    def _feed_forward(
        self, r: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch length d_model"]:
        return r + self.mlp(self.norm_mlp(r.to(self.norm_mlp.weight.dtype)))
