"""Decoding: what each layer holds of the tokens so far, and how later tokens pass through it.

A layer holds the last inputs of the short convolution and the sums of the long one (`ops.online`).
There are three modes: a prompt is read in one pass, which fills the cache (`Cache.absorb`); one
token is appended (`Cache.step`), after which the sums of all layers are updated together; several
continuations of one prompt are read, which leaves the cache as it is (`SharedPrompt`). What does
not depend on tokens is computed in advance (`ops.folding`). In a model with a memory
(`ops.memory`), each sequence has its own, which reads the same tokens (`model.memory_decoder`).
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from megabase.errors import InputError
from megabase.model.backbone import Backbone
from megabase.model.hyena import Block, HyenaOperator
from megabase.model.memory_decoder import MemoryDecoder, MemoryWeights
from megabase.model.memory_mixer import MemoryMixer, log_without_memory
from megabase.model.streaming import find_modification, layer_weights, wide
from megabase.ops.backends import long_conv
from megabase.ops.definition import short_conv
from megabase.ops.folding import LayerWeights, fold_norm
from megabase.ops.gated_conv import N_STREAMS
from megabase.ops.online import ShortSums, Sums, TiledSums
from megabase.ops.taps import add_skip
from megabase.ops.tracing import is_unmodified

_CHANNELS_AT_ONCE = 32  # in the mixing of a prompt
_TOKENS_AT_ONCE = 1 << 13  # in the MLP of a prompt

MakeSums = Callable[[Tensor, Tensor], Sums]
"""Creates `Sums` from the taps and the contribution of the prompt to each later token."""


def why_not_cached(backbone: Backbone) -> str | None:
    """Return a modification that would be lost, because a cache reads weights; None: none."""
    memory = [] if backbone.memory is None else backbone.memory.named_modules(prefix="memory")
    for name, module in [("embedding", backbone.embedding), *memory]:
        if not is_unmodified(module, nn.Embedding, MemoryMixer, nn.Linear):
            return f"{name} is modified: a {type(module).__name__}, perhaps with hooks"
    return find_modification(backbone.blocks, backbone.norm)


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

    _memory: MemoryDecoder | None = None
    """The memories of the batch; None: the model has none, or nothing was read."""

    @torch.inference_mode()
    def __init__(
        self, backbone: Backbone, n_steps: int, *, make_sums: MakeSums = TiledSums
    ) -> None:
        obstacle = why_not_cached(backbone)
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
        self._layers = [_transposed(layer_weights(block)) for block in blocks]
        self._eps = [(block.norm_mixer.eps, block.norm_mlp.eps) for block in blocks]
        self._embedding = wide(backbone.embedding.weight)
        head, norm = self._embedding[: backbone.config.vocab_size], backbone.norm
        no_bias = head.new_zeros(len(head))
        weight, self._head_bias = fold_norm(norm.weight, norm.bias, head, no_bias)
        self._head, self._last_eps = weight.t(), norm.eps
        mixer = backbone.memory
        self._of_memory = None if mixer is None else MemoryWeights(mixer, norm, head)

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
        self._check_length(tokens.shape[1])
        self._remember(tokens, mask)
        return self._begin(self._embedding[tokens], mask)

    @torch.inference_mode()
    def absorb_embedded(
        self,
        embedded: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch token"]:
        """Read prompts as `absorb` does, given embedded tokens, without a memory."""
        self._check_length(embedded.shape[1])
        if self._of_memory is not None:
            log_without_memory()
            self._memory = MemoryDecoder(self._of_memory, len(embedded))
        # a copy, which is overwritten, in the dtype of the arithmetic
        return self._begin(embedded.to(self._embedding.dtype, copy=True), mask)

    def _begin(
        self,
        r: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None,
    ) -> Float[Tensor, "batch token"]:
        """Pass prompts through the layers; the parameters are those of `_take_in`."""
        taps, future, recent = self._take_in(r, mask)
        self.sums = self._make_sums(taps, future)
        short = [layer.short for layer in self._layers]
        self._short = ShortSums(
            torch.stack([each.taps for each in short]),
            torch.stack([each.bias for each in short]),
            recent,
        )
        self._streams = torch.empty_like(self._short.inputs[0])
        self._inputs = r.new_empty(len(self._layers), *r[:, -1].shape)
        return self._logits(r[:, -1], self._memory)

    @torch.inference_mode()
    def step(self, tokens: Int64[Tensor, " batch"]) -> Float[Tensor, "batch token"]:
        """Append one token to each sequence, and return the logits of the token after it."""
        r = self._embedding[tokens]
        if self._memory is not None:
            self._memory.read(tokens)
        width = r.shape[1:]
        last, first, value = self._streams.chunk(N_STREAMS, dim=1)  # views of one layer's streams
        short = self._short
        each = (
            self._layers, self._eps, short.inputs, short.past, short.present, self._inputs,
            self.sums.past, self._first_taps,
        )  # fmt: skip
        for layer, eps, p, pending, tap, z, past, first_tap in zip(*each, strict=True):
            u = functional.layer_norm(r, width, eps=eps[0])
            torch.addmm(layer.project_bias, u, layer.project, out=p)
            # `pending` and `past` hold the contributions of earlier tokens to both convolutions,
            # so that the present token only adds its own product.
            torch.addcmul(pending, tap, p, out=self._streams)
            torch.mul(first, value, out=z)
            y = torch.addcmul(past, first_tap, z).mul_(last)
            r.add_(layer.out_bias).addmm_(y, layer.out)
            _feed_forward(r, layer, eps[1])
        short.push()
        self.sums.push(self._inputs)
        return self._logits(r, self._memory)

    def _check_length(self, length: int) -> None:
        """Raise an InputError if a prompt and the tokens after it exceed the model's positions."""
        if length + self.n_steps > self._max_length:
            raise InputError(
                f"a prompt of {length:,} tokens and {self.n_steps:,} more exceed this model's "
                f"{self._max_length:,} positions; shorten one of them"
            )

    def _remember(
        self,
        tokens: Int64[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None,
    ) -> None:
        """Read prompts into new memories."""
        if self._of_memory is not None:
            self._memory = MemoryDecoder(self._of_memory, len(tokens))
            expected = tokens.shape[1] + self.n_steps
            self._memory.read_prompts(tokens, mask, expected=expected)

    def _take_in(
        self,
        r: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch length"] | None,
    ) -> tuple[
        Float[Tensor, "layer d_model step"],
        Float[Tensor, "layer d_model batch step"],
        Float[Tensor, "layer batch stream_channel recent"],
    ]:
        """Pass prompts through the layers.

        Parameters
        ----------
        r
            The residual stream, which is overwritten by that after the last layer.
        mask
            False where a token is padding.

        Returns
        -------
        taps
            The long filters, as far as later tokens need them.
        future, recent
            What each layer holds: the contribution of the prompts to each later token, and the
            last inputs of the short convolution, the oldest first.
        """
        batch, length, d_model = r.shape
        n_layers, edge = len(self._layers), self._layers[0].short.edge
        taps = r.new_empty(n_layers, d_model, self.n_steps)
        future = r.new_empty(n_layers, d_model, batch, self.n_steps)
        recent = r.new_zeros(n_layers, batch, *edge.shape)
        self._first_taps = r.new_zeros(n_layers, 1, d_model)
        for index, operator in enumerate(self._operators):
            h = operator.filters(length + self.n_steps)[0].to(r.dtype)
            add_skip(h, operator.skip)
            taps[index], self._first_taps[index] = h[:, : self.n_steps], h[:, 0]
            kept = _LayerState(future[index], recent[index])
            self._pass(index, r, h, mask=mask, after=kept)
        return taps, future, recent

    def _pass(
        self,
        index: int,
        r: Float[Tensor, "batch length d_model"],
        h: Float[Tensor, "d_model total"],
        *,
        mask: Bool[Tensor, "batch length"] | None = None,
        before: "_LayerState | None" = None,
        after: "_LayerState | None" = None,
    ) -> None:
        """Pass several tokens through a layer, which overwrites `r`.

        Parameters
        ----------
        index
            That of the layer.
        r
            The residual stream.
        h
            The long filter, with the skip weight in its first tap.
        mask
            False where a token is padding.
        before
            What the layer holds of the tokens before these; None: there are none.
        after
            Receives what the layer holds of these tokens. They must then be the first.
        """
        layer, (eps, eps_mlp) = self._layers[index], self._eps[index]
        length, d_model = r.shape[1:]
        u = functional.layer_norm(r, (d_model,), eps=eps)
        if after is not None:  # the first tokens may be many
            at_once, mixed = _CHANNELS_AT_ONCE, torch.empty_like(u)
        else:  # a few tokens stay in the order of the convolution: channels before tokens
            at_once, mixed = d_model, u.new_empty(len(u), d_model, length).mT
        for start in range(0, d_model, at_once):
            channels = slice(start, min(start + at_once, d_model))
            of_channels = self._mixed(layer, u, h, channels, mask, before, after)
            mixed[..., channels] = of_channels.transpose(1, 2)
        r += mixed @ layer.out + layer.out_bias
        for part in r.view(-1, d_model).split(_TOKENS_AT_ONCE):
            _feed_forward(part, layer, eps_mlp)

    def _mixed(
        self,
        layer: LayerWeights,
        u: Float[Tensor, "batch length d_model"],
        h: Float[Tensor, "d_model total"],
        channels: slice,
        mask: Bool[Tensor, "batch length"] | None,
        before: "_LayerState | None",
        after: "_LayerState | None",
    ) -> Float[Tensor, "batch channel length"]:
        """Project and mix some channels; the parameters are those of `_pass`."""
        length, padding = u.shape[1], None if mask is None else ~mask[:, None]
        weight, bias = _of_streams(layer.project, 1, channels), cast("Tensor", layer.project_bias)
        p = (u @ weight + _of_streams(bias, 0, channels)).transpose(1, 2)
        p = p if padding is None else p.masked_fill(padding, 0.0)
        n_before = 0
        if after is not None:
            after.keep_inputs(p, channels)
        if before is not None:
            recent = _of_streams(before.recent, 1, channels).expand(len(p), -1, -1)
            p, n_before = torch.cat([recent, p], dim=-1), recent.shape[-1]
        taps, short_bias = (_of_streams(t, 0, channels) for t in layer.short[:2])
        streams = short_conv(p, taps, short_bias)[..., n_before:]
        last, first, value = streams.chunk(N_STREAMS, dim=1)
        z = first * value
        z = z if padding is None else z.masked_fill(padding, 0.0)
        if after is not None:
            # With zeros as later tokens, the outputs after these are their contributions.
            z = functional.pad(z, (0, after.future.shape[-1]))
        y = long_conv(z, h[channels], h.new_zeros(z.shape[1]))
        if after is not None:
            after.future[channels] = y[..., length:].transpose(0, 1)
            y = y[..., :length]
        if before is not None:
            y = y + before.future[channels, :, :length].transpose(0, 1)
        return last * y

    def _logits(
        self, r: Float[Tensor, "batch d_model"], memory: MemoryDecoder | None
    ) -> Float[Tensor, "batch token"]:
        if memory is not None:
            return memory.logits(r)
        u = functional.layer_norm(r, r.shape[1:], eps=self._last_eps)
        return torch.addmm(self._head_bias, u, self._head)


class _LayerState(NamedTuple):
    """What a layer holds of the tokens so far.

    Attributes
    ----------
    future
        The contribution of the long convolution to each later token.
    recent
        The last inputs of the short convolution, the oldest first; 0 before the first token.
    """

    future: Float[Tensor, "d_model batch step"]
    recent: Float[Tensor, "batch stream_channel recent"]

    def keep_inputs(self, p: Float[Tensor, "batch part length"], channels: slice) -> None:
        """Write the last inputs of the short convolution, in some channels of each stream."""
        n = min(self.recent.shape[-1], p.shape[-1])  # a prompt may be shorter than the filter
        kept = self.recent.unflatten(1, (N_STREAMS, -1))[:, :, channels]
        kept[..., kept.shape[-1] - n :] = p[..., p.shape[-1] - n :].unflatten(1, (N_STREAMS, -1))


def _of_streams(t: Tensor, dim: int, channels: slice) -> Tensor:
    """Return some channels of each stream; streams lie one after the other along `dim`."""
    whole: list[slice] = [slice(None)] * (dim + 1)
    return t.unflatten(dim, (N_STREAMS, -1))[(*whole, channels)].flatten(dim, dim + 1)


def _feed_forward(r: Float[Tensor, "token d_model"], layer: LayerWeights, eps: float) -> None:
    """Add the output of the MLP of `layer` to each token, in place."""
    u = functional.layer_norm(r, r.shape[1:], eps=eps)
    hidden = torch.addmm(layer.expand_bias, u, layer.expand)
    r.add_(layer.contract_bias).addmm_(functional.gelu(hidden, approximate="tanh"), layer.contract)


def _transposed(layer: LayerWeights) -> LayerWeights:
    """Transpose the matrices, for u @ weight."""
    return layer._replace(
        project=layer.project.t(), out=layer.out.t(), expand=layer.expand.t(),
        contract=layer.contract.t(),
    )  # fmt: skip


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
        self._check_length(len(prompt))
        r = self._embedding[prompt[None]]
        self._remember(prompt[None], None)
        self._filters, *held = self._take_in(r, None)
        self._states = [_LayerState(*of_layer) for of_layer in zip(*held, strict=True)]

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
        r, rows = self._embedding[tokens], torch.arange(len(tokens), device=tokens.device)
        memory = None if self._memory is None else self._memory.continued(tokens, last)
        for index, (h, state) in enumerate(zip(self._filters, self._states, strict=True)):
            self._pass(index, r, h[:, : r.shape[1]], before=state)
        return self._logits(r[rows, last], memory)
