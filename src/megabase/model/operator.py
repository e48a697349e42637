r"""The Hyena operator: element-wise gates with long convolutions between them.

===================================================  ====================================
Papers                                               Here
===================================================  ====================================
:math:`N`, the order                                 ``order``, the number of gates
:math:`v, x^1, \dots, x^N` (Poli, Algorithm 1)       ``v, gates = self.project(u)``
:math:`h^1, \dots, h^{N-1}` (Poli, Algorithm 2)      ``self.filters(length)``
:math:`D_{x_2} T_h D_{x_1} v` (Nguyen, Eq. 3.1)      ``self.mix(v, gates, filters)``
the forward pass (Poli, Algorithm 3)                 ``self.forward(u)``
===================================================  ====================================

Where we differ from Poli: Definition 3.1 convolves before *every* gate and needs N
filters. HyenaDNA gates first and needs N - 1 filters, which is Definition 3.1 with a unit
impulse as the first filter. The published weights also have a skip weight for each
filter, and store the gates in the reverse of the order in which they are applied.

Where we differ from both: a mask. Padding is set to zero before each convolution, short or
long, so that the output of a sequence does not depend on padding on either side.

Poli et al. 2023, "Hyena Hierarchy", arXiv:2302.10866v3.
Nguyen et al. 2023, "HyenaDNA", arXiv:2306.15794v2.
"""

from contextlib import nullcontext
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from megabase.model.made_again import made_again
from megabase.model.residual import ResidualLinear
from megabase.model.steps import steps_for
from megabase.model.untouched import has_hooks, is_untouched
from megabase.ops import kernels
from megabase.ops.gated_conv import with_input_bias, without_edge
from megabase.ops.into_channels import into_channels
from megabase.ops.long_conv import long_conv
from megabase.ops.tracing import static_size


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
        """Gate, then convolve and gate again, once for each filter."""
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
            One of `engine.ENGINES`. All but ``"plain"`` use `mix_at_once` for operators of order
            2, instead of `project` and `mix`.
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
        """Project, and mix by `ops.gated_conv`, which saves little for the gradient.

        Parameters
        ----------
        u
            The normed residual stream.
        mask
            False where a token is padding.
        engine
            ``"triton"`` for GPU kernels; any other name for the fastest steps on this device.
        """
        taps, bias = self.short_conv.weight[:, 0], cast("Tensor", self.short_conv.bias)
        has_bias = cast("Tensor | None", self.in_proj.bias) is not None
        if mask is None and has_bias and is_untouched(self.in_proj, nn.Linear):
            # Without a mask, the input bias can be folded into the short filter.
            streams = into_channels(u, self.in_proj.weight)
            short = with_input_bias(taps, bias, self.in_proj.bias)
        else:
            streams = _without_padding(self.in_proj(u).transpose(1, 2), mask)
            short = without_edge(taps, bias)
        mix = kernels.gated_conv if engine == "triton" else steps_for(streams).gated_conv
        length = u.shape[1]
        h = self.filters(length)[0]
        watched = any(map(has_hooks, self.filters.modules()))  # hooks would run a second time
        cheap = nullcontext() if watched else made_again(h, lambda: self.filters(length)[0])
        with cheap:
            return mix(streams, short, h, self.skip, mask)

    def _has_plain_short_conv(self) -> bool:
        return is_untouched(self.short_conv, nn.Conv1d) and self.short_conv.bias is not None


def _without_padding(
    signal: Float[Tensor, "batch channel length"], mask: Bool[Tensor, "batch 1 length"] | None
) -> Float[Tensor, "batch channel length"]:
    return signal if mask is None else signal.masked_fill(~mask, 0.0)
