"""Run `megabase` with other mixers in its blocks, as alternatives to our Hyena operator.

python experiments/mixers.py NAME pretrain ...
python experiments/mixers.py NAME evaluate perplexity ...

Only this script can read the models it trains. `filters.py` calls it for variants that need it.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import cast
from unittest import mock

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from megabase.cli.main import main
from megabase.model import backbone
from megabase.model.config import HyenaDNAConfig
from megabase.model.hyena import Block, HyenaOperator, ImplicitFilter, ResidualLinear
from megabase.model.positions import ScaleFreeShape
from megabase.ops.backends import long_conv

_NORMED_TAPS = 1024  # a fixed number: the norm must not depend on the requested length
_GATES = 16  # groups of channels with similar reach, one gate each
_HEAD = 32  # channels of an attention head
_MIDDLE = 64.0  # tokens: the boundary between the reaches of two layers


class NormedFilters(nn.Module):
    """Filters normalised so that the magnitudes of their first taps sum to 1."""

    def __init__(self, filters: ImplicitFilter) -> None:
        super().__init__()
        self.filters = filters

    def forward(self, length: int) -> Float[Tensor, "n_filter d_model length"]:
        """Return the first `length` taps."""
        h = self.filters(max(length, _NORMED_TAPS))
        return (h / h[..., :_NORMED_TAPS].abs().sum(-1, keepdim=True))[..., :length]


class GatedReach(HyenaOperator):
    r"""A Hyena operator with a data-dependent gate on the far context of each token.

    .. math:: y = x^2 (T_{near} + 2 \sigma(W u) T_h) x^1 v
    """

    def __init__(self, d_model: int, filters: ImplicitFilter) -> None:
        super().__init__(d_model, filters)
        self.near, filters.near = filters.near, None
        self.gate = nn.Linear(d_model, _GATES)

    def forward(
        self,
        u: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
        *,
        engine: str = "plain",
    ) -> Float[Tensor, "batch length d_model"]:
        """Mix `u` along its length."""
        del mask, engine  # these experiments have no padding, and only one engine
        length = u.shape[1]
        v, (first, second) = self.project(u)
        z = first * v
        near = functional.pad(self.near, (0, length))[:, :length]
        share = 2 * torch.sigmoid(self.gate(u)).transpose(1, 2)
        share = share.repeat_interleave(self.d_model // _GATES, dim=1)
        far = long_conv(z, self.filters(length)[0], torch.zeros_like(self.skip))
        y = second * (long_conv(z, near, self.skip) + share * far)
        return self.out_proj(y.transpose(1, 2))


class Attention(nn.Module):
    """Causal attention with rotary positions."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(d_model, 3 * d_model)
        self.out_proj = ResidualLinear(d_model, d_model)

    def forward(
        self,
        u: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
        *,
        engine: str = "plain",
    ) -> Float[Tensor, "batch length d_model"]:
        """Mix `u` along its length."""
        del mask, engine
        q, k, v = self.in_proj(u).unflatten(-1, (3, -1, _HEAD)).transpose(1, 3).unbind(2)
        y = functional.scaled_dot_product_attention(_turned(q), _turned(k), v, is_causal=True)
        return self.out_proj(y.transpose(1, 2).flatten(2))


def _turned(x: Float[Tensor, "batch head length channel"]) -> Tensor:
    length, width = x.shape[-2:]
    rates = 10_000.0 ** -(torch.arange(0, width, 2, device=x.device) / width)
    angles = torch.arange(length, device=x.device)[:, None] * rates
    a, b = x.chunk(2, dim=-1)
    return torch.cat(
        [a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], dim=-1
    ).to(x.dtype)


def _near_and_far(mixer: HyenaOperator, layer: int) -> nn.Module:
    return _reaching(mixer, is_far=layer % 2 == 1)


def _far_and_near(mixer: HyenaOperator, layer: int) -> nn.Module:
    return _reaching(mixer, is_far=layer % 2 == 0)


def _reaching(mixer: HyenaOperator, *, is_far: bool) -> nn.Module:
    filters = cast("ImplicitFilter", mixer.filters)
    shape = cast("ScaleFreeShape", filters.shape)
    near = {"longest_reach": _MIDDLE / shape.grid}
    filters.shape = replace(shape, **({"shortest_reach": _MIDDLE} if is_far else near))
    return mixer


def _taps_and_far(mixer: HyenaOperator, layer: int) -> nn.Module:
    """Restrict the first layer to its near taps."""
    filters = cast("ImplicitFilter", mixer.filters)
    if layer == 0:
        filters.shape = replace(cast("ScaleFreeShape", filters.shape), amplitude=0.0)
    return mixer


def _normed(mixer: HyenaOperator, layer: int) -> nn.Module:
    del layer
    mixer.filters = NormedFilters(cast("ImplicitFilter", mixer.filters))
    return mixer


def _gated(mixer: HyenaOperator, layer: int) -> nn.Module:
    del layer
    return GatedReach(mixer.d_model, cast("ImplicitFilter", mixer.filters))


def _attention_first(mixer: HyenaOperator, layer: int) -> nn.Module:
    return Attention(mixer.d_model) if layer == 0 else mixer


def _attention_second(mixer: HyenaOperator, layer: int) -> nn.Module:
    return Attention(mixer.d_model) if layer == 1 else mixer


MIXERS: dict[str, Callable[[HyenaOperator, int], nn.Module]] = {
    # name: function from our operator and the layer index to the mixer
    "near-and-far": _near_and_far,
    "far-and-near": _far_and_near,
    "taps-and-far": _taps_and_far,
    "normed": _normed,
    "gated": _gated,
    "attention-first": _attention_first,
    "attention-second": _attention_second,
}


def with_mixers(name: str) -> "mock._patch[Callable[[HyenaDNAConfig], Block]]":
    """Return a context manager in which every model is built with the named mixers."""
    layers: Iterator[int] = count()
    ours = backbone._block

    def block(config: HyenaDNAConfig) -> Block:
        made = ours(config)
        mixer = cast("HyenaOperator", made.mixer)
        made.mixer = MIXERS[name](mixer, next(layers) % config.n_layer)
        return made

    return mock.patch.object(backbone, "_block", block)


if __name__ == "__main__":
    with with_mixers(sys.argv.pop(1)):
        main()
