"""A prompt that is read once, and many continuations of it, each computed in one pass."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from megabase.model.backbone import Backbone
from megabase.model.cache import Cache, feed_forward
from megabase.ops.gated_conv import N_STREAMS
from megabase.ops.long_conv import long_conv
from megabase.ops.reference import short_conv


class SharedPrompt(Cache):
    """The state of a model after a prompt that many sequences share.

    In Eq. long-conv, the contribution of the prompt to each later token is a separate term, which
    is computed once. The cost of a continuation then depends only on its own length.

    Parameters
    ----------
    backbone
        The model without its head. Its weights are read once; later changes have no effect.
    prompt
        The tokens with which all sequences begin, at least one.
    longest
        The most tokens of a continuation.

    Raises
    ------
    InputError
        If the backbone was modified, its operators are not of order 2, or prompt and longest
        continuation exceed its positions.
    """

    @torch.inference_mode()
    def __init__(self, backbone: Backbone, prompt: Int64[Tensor, " length"], longest: int) -> None:
        super().__init__(backbone, longest)
        _, self._filters_after, future = self._take_in(self._embedding[prompt[None]], None)
        self._future = future[:, :, 0]
        # The last inputs of the short convolutions. They may be none, for a filter of one tap; the
        # last column, which is dropped again, keeps `stack` from failing then.
        self._before = torch.stack([*reversed(self._recent), self._projected], dim=-1)[..., :-1]

    @torch.inference_mode()
    def logits_after(
        self, tokens: Int64[Tensor, "batch length"], last: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch token"]:
        """Return the logits after one token of each continuation.

        Parameters
        ----------
        tokens
            The continuations, padded on the right, where padding has no effect.
        last
            The index of that token in each, from 0.
        """
        r = self._embedding[tokens]
        for index, layer in enumerate(self._layers):
            self._mix(index, r)
            feed_forward(r.view(-1, r.shape[-1]), layer)
        return self._logits(r[torch.arange(len(r), device=r.device), last])

    def _mix(self, index: int, r: Float[Tensor, "batch length d_model"]) -> None:
        """Mix the tokens of each continuation, and add the contribution of the prompt."""
        layer, (length, d_model) = self._layers[index], r.shape[1:]
        u = functional.layer_norm(r, (d_model,), eps=layer.eps_mixer)
        p = (u @ layer.project + layer.project_bias).transpose(1, 2)
        before = self._before[index].expand(len(p), -1, -1)
        taps, bias = self._short[index], self._short_bias[index]
        streams = short_conv(torch.cat([before, p], dim=-1), taps, bias)[..., -length:]
        last, first, value = streams.chunk(N_STREAMS, dim=1)
        h = self._filters_after[index, :, :length]
        y = long_conv(first * value, h, h.new_zeros(d_model)) + self._future[index, :, :length]
        r += (last * y).transpose(1, 2) @ layer.out + layer.out_bias
