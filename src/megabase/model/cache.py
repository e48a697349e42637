"""What each layer remembers in order to emit the next token, and prompts that are read once.

For every layer it consists of the last inputs of the short convolution and the sums of the long
one (`ops.online`). The sums of all layers are updated together once a token has passed through
all layers. What does not depend on tokens is computed in advance: norms are folded into the
weights after them, and the skip weight into the filter.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from megabase.errors import InputError
from megabase.model.backbone import Backbone
from megabase.model.hyena import Block, HyenaOperator
from megabase.model.streaming import find_modification, fold_norm
from megabase.ops.backends import long_conv
from megabase.ops.definition import short_conv
from megabase.ops.gated_conv import N_STREAMS
from megabase.ops.online import Sums, TiledSums

_CHANNELS_AT_ONCE = 32  # in the mixing of a prompt
_TOKENS_AT_ONCE = 1 << 13  # in the MLP of a prompt

MakeSums = Callable[[Tensor, Tensor], Sums]
"""Creates `Sums` from the taps and the contribution of the prompt to each later token."""


class _Layer(NamedTuple):
    """The weights of a block, transposed for u @ weight, with its norms folded in."""

    project: Float[Tensor, "d_model stream_channel"]
    project_bias: Float[Tensor, " stream_channel"]
    out: Float[Tensor, "d_model d_model"]
    out_bias: Float[Tensor, " d_model"]
    expand: Float[Tensor, "d_model d_inner"]
    expand_bias: Float[Tensor, " d_inner"]
    contract: Float[Tensor, "d_inner d_model"]
    contract_bias: Float[Tensor, " d_model"]
    eps_mixer: float
    eps_mlp: float


class Cache:
    """The state of a model for a batch of sequences that are extended token by token.

    Parameters
    ----------
    backbone
        The model without its head, which is the transposed embedding. Its weights are read once,
        without dropout; later changes of them have no effect.
    n_steps
        The most tokens that can follow the prompt.
    make_sums
        `ops.online.TiledSums`, or the definition of it, `ops.online.DirectSums`.

    Raises
    ------
    InputError
        If the backbone was modified, for example by hooks, or its operators are not of order 2.
    """

    @torch.inference_mode()
    def __init__(
        self, backbone: Backbone, n_steps: int, *, make_sums: MakeSums = TiledSums
    ) -> None:
        obstacle = find_modification(backbone.blocks, backbone.norm)
        if obstacle is not None:
            raise InputError(
                f"a cache needs an unmodified model of order 2, but {obstacle}; "
                "merge adapters, remove hooks, or compute without a cache"
            )
        self.n_steps = n_steps
        self._max_length = backbone.config.max_seq_len
        self._make_sums = make_sums
        blocks = cast("list[Block]", list(backbone.blocks))
        self._operators = [cast("HyenaOperator", block.mixer) for block in blocks]
        self._layers = list(map(_folded, blocks))
        self._embedding = _wide(backbone.embedding.weight)
        head = self._embedding[: backbone.config.vocab_size]
        weight, self._head_bias = fold_norm(backbone.norm, head, head.new_zeros(len(head)))
        self._head, self._eps = weight.t(), backbone.norm.eps
        short = [operator.short_conv for operator in self._operators]
        self._short = _wide(torch.stack([conv.weight[:, 0] for conv in short]))
        self._short_bias = _wide(torch.stack([cast("Tensor", conv.bias) for conv in short]))
        # one entry for each tap, of all layers at once; that of the present token is last
        self._taps = [tap[:, None].contiguous() for tap in self._short.unbind(-1)]

    @torch.inference_mode()
    def absorb(
        self,
        tokens: Int64[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch token"]:
        """Read the prompts in one pass, and return the logits of the token after each.

        Parameters
        ----------
        tokens
            The prompts, padded on the left to one length.
        mask
            False where a token is padding.

        Raises
        ------
        InputError
            If prompt and `n_steps` exceed the positions of the model.
        """
        return self.absorb_embedded(self._embedding[tokens], mask)

    @torch.inference_mode()
    def absorb_embedded(
        self,
        embedded: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch token"]:
        """Read prompts as `absorb` does, given embedded tokens."""
        r, taps, future = self._take_in(embedded, mask)
        self.sums = self._make_sums(taps, future)
        self._prepare_short_conv()
        return self._logits(r[:, -1])

    @torch.inference_mode()
    def step(self, tokens: Int64[Tensor, " batch"]) -> Float[Tensor, "batch token"]:
        """Append one token to each sequence, and return the logits of the token after it."""
        r = self._embedding[tokens]
        width = r.shape[1:]
        last, first, value = self._streams.chunk(N_STREAMS, dim=1)  # views of one layer's streams
        present = self._taps[-1]
        each = (
            self._layers, self._projected, self._pending, present, self._inputs,
            self.sums.past, self._first_taps,
        )  # fmt: skip
        for layer, p, pending, tap, z, past, first_tap in zip(*each, strict=True):
            u = functional.layer_norm(r, width, eps=layer.eps_mixer)
            torch.addmm(layer.project_bias, u, layer.project, out=p)
            # `pending` and `past` hold the contributions of earlier tokens to both convolutions,
            # so that the present token only adds its own product.
            torch.addcmul(pending, tap, p, out=self._streams)
            torch.mul(first, value, out=z)
            y = torch.addcmul(past, first_tap, z).mul_(last)
            r.add_(layer.out_bias).addmm_(y, layer.out)
            feed_forward(r, layer)
        # The oldest buffer is reused for the projections of the next token.
        self._recent.insert(0, self._projected)
        self._projected = self._recent.pop()
        self._prepare_short_conv()
        self.sums.push(self._inputs)
        return self._logits(r)

    def _take_in(
        self,
        embedded: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None,
    ) -> tuple[
        Float[Tensor, "batch length d_model"],
        Float[Tensor, "layer d_model step"],
        Float[Tensor, "layer d_model batch step"],
    ]:
        """Read the prompts; return the last stream, the taps, and what is added to each step."""
        batch, length, _ = embedded.shape
        if length + self.n_steps > self._max_length:
            raise InputError(
                f"a prompt of {length:,} tokens and {self.n_steps:,} more exceed this model's "
                f"{self._max_length:,} positions; shorten one of them"
            )
        r = self._own(embedded)
        self._make_room(r)
        n_layers, d_model = len(self._layers), r.shape[-1]
        taps = r.new_empty(n_layers, d_model, self.n_steps)
        future = r.new_empty(n_layers, d_model, batch, self.n_steps)
        for index, layer in enumerate(self._layers):
            h = self._filter(index, length)
            taps[index] = h[:, : self.n_steps]
            self._mix_prompt(index, r, mask, h, future[index])
            for part in r.view(-1, d_model).split(_TOKENS_AT_ONCE):
                feed_forward(part, layer)
        return r, taps, future

    def _own(self, embedded: Tensor) -> Tensor:
        """Copy embedded tokens, which will be overwritten, in the dtype of the arithmetic."""
        return embedded.to(self._embedding.dtype, copy=True)

    def _make_room(self, r: Tensor) -> None:
        n_layers, batch, d_model = len(self._layers), len(r), r.shape[-1]
        shape = (n_layers, batch, N_STREAMS * d_model)
        self._recent = [r.new_zeros(shape) for _ in self._taps[1:]]  # the latest token first
        self._projected, self._pending = r.new_zeros(shape), r.new_zeros(shape)
        self._inputs = r.new_zeros(n_layers, batch, d_model)
        self._streams = r.new_zeros(shape[1:])
        self._first_taps = r.new_zeros(n_layers, 1, d_model)

    def _filter(self, index: int, length: int) -> Float[Tensor, "d_model total"]:
        """Return the filter of a layer, with the skip weight in its first tap."""
        operator = self._operators[index]
        h = operator.filters(length + self.n_steps)[0].to(self._embedding.dtype)
        h[:, 0] += operator.skip
        self._first_taps[index] = h[:, 0]
        return h

    def _mix_prompt(
        self,
        index: int,
        r: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None,
        h: Float[Tensor, "d_model total"],
        future: Float[Tensor, "d_model batch step"],
    ) -> None:
        """Mix the prompts, and write to `future` their contribution to each later token."""
        layer, (length, d_model) = self._layers[index], r.shape[1:]
        u = functional.layer_norm(r, (d_model,), eps=layer.eps_mixer)
        mixed = torch.empty_like(u)
        for start in range(0, d_model, _CHANNELS_AT_ONCE):
            channels = slice(start, min(start + _CHANNELS_AT_ONCE, d_model))
            last, z = self._gate_prompt(index, u, mask, channels)
            # With zeros as later tokens, the outputs after the prompt are its contributions.
            silent = functional.pad(z, (0, self.n_steps))
            y = long_conv(silent, h[channels], h.new_zeros(z.shape[1]))
            future[channels] = y[..., length:].transpose(0, 1)
            mixed[..., channels] = (last * y[..., :length]).transpose(1, 2)
        r += mixed @ layer.out + layer.out_bias

    def _gate_prompt(
        self,
        index: int,
        u: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None,
        channels: slice,
    ) -> tuple[Float[Tensor, "batch channel length"], Float[Tensor, "batch channel length"]]:
        """Return some channels of the last gate, and of the input of the long filter."""
        layer, padding = self._layers[index], None if mask is None else ~mask[:, None]
        of_streams = (N_STREAMS, u.shape[-1])
        weight = layer.project.unflatten(-1, of_streams)[..., channels].flatten(-2)
        bias = layer.project_bias.unflatten(-1, of_streams)[:, channels].flatten()
        p = (u @ weight + bias).transpose(1, 2)
        p = p if padding is None else p.masked_fill(padding, 0.0)
        # A prompt may be shorter than the short filter: earlier inputs stay zero.
        for recent, latest in zip(self._recent, p.unbind(-1)[::-1], strict=False):
            place = recent[index].unflatten(-1, of_streams)[..., channels]
            place.copy_(latest.view(place.shape))
        taps = self._short[index].unflatten(0, of_streams)[:, channels].flatten(0, 1)
        short_bias = self._short_bias[index].unflatten(0, of_streams)[:, channels].flatten()
        last, first, value = short_conv(p, taps, short_bias).chunk(N_STREAMS, dim=1)
        z = first * value
        return last, z if padding is None else z.masked_fill(padding, 0.0)

    def _prepare_short_conv(self) -> None:
        """Sum the contributions of the last tokens and the bias to the next, in all layers."""
        self._pending.copy_(self._short_bias[:, None])
        # Taps from the one before the present backwards match inputs from the latest backwards.
        for tap, p in zip(self._taps[-2::-1], self._recent, strict=True):
            self._pending.addcmul_(tap, p)

    def _logits(self, r: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch token"]:
        u = functional.layer_norm(r, r.shape[1:], eps=self._eps)
        return torch.addmm(self._head_bias, u, self._head)


def feed_forward(r: Float[Tensor, "token d_model"], layer: _Layer) -> None:
    """Add the output of the MLP of `layer` to each token, in place."""
    u = functional.layer_norm(r, r.shape[1:], eps=layer.eps_mlp)
    hidden = torch.addmm(layer.expand_bias, u, layer.expand)
    r.add_(layer.contract_bias).addmm_(functional.gelu(hidden, approximate="tanh"), layer.contract)


def _folded(block: Block) -> _Layer:
    operator, mlp = cast("HyenaOperator", block.mixer), block.mlp
    into, out = operator.in_proj, operator.out_proj
    project, project_bias = fold_norm(block.norm_mixer, _wide(into.weight), _wide(into.bias))
    expand, expand_bias = fold_norm(block.norm_mlp, _wide(mlp.fc1.weight), _wide(mlp.fc1.bias))
    return _Layer(
        project=project.t(),
        project_bias=project_bias,
        out=_wide(out.weight).t(),
        out_bias=_wide(out.bias),
        expand=expand.t(),
        expand_bias=expand_bias,
        contract=_wide(mlp.fc2.weight).t(),
        contract_bias=_wide(mlp.fc2.bias),
        eps_mixer=block.norm_mixer.eps,
        eps_mlp=block.norm_mlp.eps,
    )


def _wide(parameter: Tensor) -> Tensor:
    return parameter.detach().to(torch.promote_types(parameter.dtype, torch.float32))


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
