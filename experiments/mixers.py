"""`megabase` with other mixers in its blocks: what was tried beside the Hyena operator of ours.

python experiments/mixers.py NAME pretrain ...
python experiments/mixers.py NAME evaluate perplexity ...

Only this script can read the models it trains. `filters.py` calls it for the rows that need it.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from unittest import mock

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from megabase.cli.main import main
from megabase.model import backbone
from megabase.model.block import Block
from megabase.model.config import HyenaDNAConfig
from megabase.model.filter import ImplicitFilter
from megabase.model.filter_shape import ScaleFreeShape
from megabase.model.operator import HyenaOperator
from megabase.model.residual import ResidualLinear
from megabase.ops.long_conv import long_conv

_NORMED_TAPS = 1024  # the norm of more would depend on the length that is asked for
_GATES = 16  # groups of channels of similar reach
_HEAD = 32  # channels of an attention head
_MIDDLE = 64.0  # tokens: where the reaches of two layers meet


@dataclass(frozen=True)
class Band(ScaleFreeShape):
    """Windows of every reach up to one in tokens."""

    farthest: float = math.inf

    def reaches(self, like: Tensor) -> Float[Tensor, " channel"]:
        """Give τ, shortest first."""
        ends = [math.log(self.shortest_reach), math.log(self.farthest)]
        steps = torch.linspace(*ends, self.n_channels, device=like.device, dtype=like.dtype)
        return steps.exp()


class NormedFilter(ImplicitFilter):
    """Filters whose first taps have magnitudes that add up to 1."""

    def forward(self, length: int) -> Float[Tensor, "n_filter d_model length"]:
        """Give the first `length` taps."""
        h = super().forward(max(length, _NORMED_TAPS))
        return (h / h[..., :_NORMED_TAPS].abs().sum(-1, keepdim=True))[..., :length]


class GatedReach(HyenaOperator):
    r"""A Hyena operator in which each token says how much of its far context it takes in.

    .. math:: y = x^2 (T_{near} + 2 \sigma(W u) T_h) x^1 v
    """

    def __init__(self, d_model: int, filters: nn.Module, *, n_near_taps: int) -> None:
        super().__init__(d_model, filters)
        self.near = nn.Parameter(torch.zeros(d_model, n_near_taps))
        self.gate = nn.Linear(d_model, _GATES)

    def forward(
        self,
        u: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
        *,
        engine: str = "plain",
    ) -> Float[Tensor, "batch length d_model"]:
        """Mix `u` along its length."""
        del mask, engine  # there is no padding here, and one path
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


def _near_and_far(config: HyenaDNAConfig, layer: int) -> nn.Module:
    return _banded(config, *((config.shortest_reach, _MIDDLE), (_MIDDLE, None))[layer % 2])


def _far_and_near(config: HyenaDNAConfig, layer: int) -> nn.Module:
    return _near_and_far(config, layer + 1)


def _taps_and_far(config: HyenaDNAConfig, layer: int) -> nn.Module:
    """Give a first layer that has near taps alone."""
    shape = _shape(config, amplitude=0.0) if layer == 0 else _shape(config)
    return HyenaOperator(config.d_model, _filters(config, shape))


def _normed(config: HyenaDNAConfig, layer: int) -> nn.Module:
    del layer
    return HyenaOperator(config.d_model, _filters(config, _shape(config), NormedFilter))


def _gated(config: HyenaDNAConfig, layer: int) -> nn.Module:
    del layer
    filters = ImplicitFilter(1, config.d_model, _shape(config), frequency=config.activation_freq)
    return GatedReach(config.d_model, filters, n_near_taps=config.n_near_taps)


def _attention_first(config: HyenaDNAConfig, layer: int) -> nn.Module:
    return Attention(config.d_model) if layer == 0 else _ours(config)


def _attention_last(config: HyenaDNAConfig, layer: int) -> nn.Module:
    return Attention(config.d_model) if layer == config.n_layer - 1 else _ours(config)


MIXERS: dict[str, Callable[[HyenaDNAConfig, int], nn.Module]] = {
    "near-and-far": _near_and_far,
    "far-and-near": _far_and_near,
    "taps-and-far": _taps_and_far,
    "normed": _normed,
    "gated": _gated,
    "attention-first": _attention_first,
    "attention-last": _attention_last,
}


def _ours(config: HyenaDNAConfig) -> nn.Module:
    return HyenaOperator(config.d_model, _filters(config, _shape(config)))


def _banded(config: HyenaDNAConfig, shortest: float, longest: float | None) -> nn.Module:
    shape = Band(
        config.max_seq_len, config.d_model, emb_dim=config.emb_dim, shortest_reach=shortest,
        amplitude=config.filter_amplitude, exponent=config.amplitude_exponent,
        farthest=longest or config.longest_reach * config.max_seq_len,
    )  # fmt: skip
    return HyenaOperator(config.d_model, _filters(config, shape))


def _shape(config: HyenaDNAConfig, amplitude: float | None = None) -> ScaleFreeShape:
    return ScaleFreeShape(
        config.max_seq_len, config.d_model, emb_dim=config.emb_dim,
        shortest_reach=config.shortest_reach, longest_reach=config.longest_reach,
        amplitude=config.filter_amplitude if amplitude is None else amplitude,
        exponent=config.amplitude_exponent,
    )  # fmt: skip


def _filters(
    config: HyenaDNAConfig, shape: ScaleFreeShape, kind: type[ImplicitFilter] = ImplicitFilter
) -> ImplicitFilter:
    return kind(
        1, config.d_model, shape, frequency=config.activation_freq, n_near_taps=config.n_near_taps
    )


def with_mixers(name: str) -> "mock._patch[Callable[[HyenaDNAConfig], Block]]":
    """Build every model with mixers of that name, while it lasts."""
    layers: Iterator[int] = count()

    def block(config: HyenaDNAConfig) -> Block:
        mixer = MIXERS[name](config, next(layers) % config.n_layer)
        width, inner = config.d_model, config.d_inner or 4 * config.d_model
        return Block(mixer, d_model=width, d_inner=inner, eps=config.layer_norm_epsilon)

    return mock.patch.object(backbone, "_block", block)


if __name__ == "__main__":
    with with_mixers(sys.argv.pop(1)):
        main()
