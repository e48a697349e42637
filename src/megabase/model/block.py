"""The block: norm, mixer, add; norm, MLP, add. The mixer is a parameter of it."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from megabase.model.made_again import made_again
from megabase.model.residual import ResidualLinear
from megabase.model.untouched import has_hooks, is_untouched
from megabase.ops import kernels

# Tokens whose MLP is recomputed at once for the gradient; more do not fit the caches of a CPU.
_TOKENS_ON_CPU, _TOKENS_ELSEWHERE = 1 << 11, 1 << 16
KEPT_NUMBERS = 1 << 23
"""Up to this many numbers inside an MLP are saved for the gradient instead of recomputed."""


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
            The residual stream, which may be wider than the weights.
        mask
            False where a token is padding.
        engine
            One of `engine.ENGINES`. All but ``"plain"`` recompute part of what the gradient needs.
        """
        u = self._normed(r)
        is_plain = engine == "plain" or not is_untouched(self.norm_mixer, nn.LayerNorm)
        with nullcontext() if is_plain else made_again(u, partial(self._normed, r)):
            y = self.mixer(u, mask, engine=engine)
        watched = any(has_hooks(module) for module in (self.norm_mlp, *self.mlp.modules()))
        norm = self.norm_mlp
        if engine == "triton" and not watched and is_untouched(norm, nn.LayerNorm):
            r, u = kernels.add_norm(r, y, norm.weight, norm.bias, norm.eps)
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


def in_parts(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch length d_model"], d_inner: int
) -> Float[Tensor, "batch length d_model"]:
    """Apply a function that acts on each token to some tokens at a time, and recompute it.

    If tokens times `d_inner` are at most `KEPT_NUMBERS`, nothing is recomputed for the gradient.

    Parameters
    ----------
    function
        Maps (batch, length, d_model) to the same shape, each token independently.
    x
        Its input.
    d_inner
        Numbers per token that its gradient needs.
    """
    if not torch.is_grad_enabled() or x[..., 0].numel() * d_inner <= KEPT_NUMBERS:
        return function(x)
    at_once = _TOKENS_ON_CPU if x.device.type == "cpu" else _TOKENS_ELSEWHERE
    parts = x.split(max(1, at_once // len(x)), dim=1)
    return torch.cat([checkpoint(function, part, use_reentrant=False) for part in parts], dim=1)
