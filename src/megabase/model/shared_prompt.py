"""A prompt that is read once, and many sequences that go on from it, each all at once."""

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
    """A model's memory of one prompt that is the same for many sequences.

    What the prompt adds to each later token is a sum of its own in Eq. long-conv, so that a
    sequence which goes on from it costs its own length, however long the prompt is.

    Parameters
    ----------
    backbone
        As of `Cache`.
    prompt
        The tokens that all sequences begin with, at least one.
    longest
        The most tokens that one of them has after the prompt.

    Raises
    ------
    InputError
        As `Cache`, and if the prompt and the longest exceed the model's positions.
    """

    @torch.inference_mode()
    def __init__(self, backbone: Backbone, prompt: Int64[Tensor, " length"], longest: int) -> None:
        super().__init__(backbone, longest)
        _, self._filters_after, future = self._take_in(self._embedding[prompt[None]], None)
        self._future = future[:, :, 0]
        # the last inputs of the short convolutions; one column more, as there may be none
        self._before = torch.stack([*reversed(self._recent), self._projected], dim=-1)[..., :-1]

    @torch.inference_mode()
    def logits_after(
        self, tokens: Int64[Tensor, "batch length"], last: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch token"]:
        """Give the logits after one token of each sequence.

        Parameters
        ----------
        tokens
            What follows the prompt; padding stands on the right, where nothing sees it.
        last
            The place of that token in each, from 0.
        """
        r = self._embedding[tokens]
        for index, layer in enumerate(self._layers):
            self._mix(index, r)
            feed_forward(r.view(-1, r.shape[-1]), layer)
        return self._logits(r[torch.arange(len(r), device=r.device), last])

    def _mix(self, index: int, r: Float[Tensor, "batch length d_model"]) -> None:
        """Mix the tokens of each sequence, and what the prompt adds to them."""
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
