r"""Whole layers for inference on a CPU, in tiles that fit its caches.

A layer passes over the sequence twice. First `mix` handles a group of channels at a time: tiles
of tokens are projected into (channel, token) order, and a `gated_conv.Mixer` mixes them along
the tokens. Then `feed_forward` handles a tile of tokens at a time: everything after the mixing.

Between layers the residual stream r is stored normalised, as

.. math:: r = \hat u \odot \text{scale} + \text{mean}
   :label: normed-residual

so that one tensor serves both as the stream and as its norm. The gain and bias of each norm are
folded into the weights after it. Norms do not depend on the mean of a token, so the mean is
stored apart and added only when r itself is needed.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from megabase.ops.folding import LayerWeights
from megabase.ops.gated_conv import N_STREAMS, Mixer, split_streams
from megabase.ops.short_conv import ShortFilter
from megabase.ops.steps import Steps

_TOKENS_PROJECTED, _TOKENS_FED = 1 << 9, 1 << 10  # tokens of a tile
_REUSED = 31 << 20  # bytes; freed blocks up to this size are reused
_ROW_PADDING = 16  # numbers; rows a power of two apart would compete for the same cache lines


class Residual:
    """The residual stream, Eq. normed-residual, in the memory of the tensor it is created from.

    Parameters
    ----------
    r
        The stream before the first layer; it is overwritten.
    eps
        Added to the variance by each norm.
    steps
        Computes the norms and what lies between the matrix products.
    """

    def __init__(self, r: Float[Tensor, "batch length d_model"], eps: float, steps: Steps) -> None:
        self.normed, self.eps, self.steps = r.contiguous(), eps, steps
        self.scale, self.mean = r.new_empty(*r.shape[:2], 1), r.new_zeros(*r.shape[:2], 1)
        no_bias = r.new_zeros(r.shape[-1])
        for row, tile in self.tiles():
            self.write(row, tile, self.normed[row, tile], no_bias)

    def tiles(self) -> Iterator[tuple[int, slice]]:
        """Yield the index of each sequence with each tile of its tokens."""
        batch, length, _ = self.normed.shape
        for row in range(batch):
            for start in range(0, length, _TOKENS_FED):
                yield row, slice(start, start + _TOKENS_FED)

    def read(self, row: int, tile: slice, bias: Tensor) -> Float[Tensor, "token d_model"]:
        """Return r - mean + bias of a tile of the sequence `row`."""
        return self.steps.read(self.normed[row, tile], self.scale[row, tile], bias)

    def write(self, row: int, tile: slice, r: Float[Tensor, "token d_model"], bias: Tensor) -> None:
        """Store r + bias of a tile, where r lacks the mean that `read` left out."""
        normed, scale, mean = (t[row, tile] for t in (self.normed, self.scale, self.mean))
        self.steps.write(r, bias, self.eps, normed=normed, scale=scale, mean=mean)

    def restored(self, *, overwrite: bool = False) -> Float[Tensor, "batch length d_model"]:
        """Return r in new memory, or with `overwrite` in that of the stream, which it destroys."""
        out = self.normed if overwrite else None
        return torch.addcmul(self.mean, self.normed, self.scale, out=out)


class LayerBuffers:
    """The buffers in which all layers are computed, one after the other.

    Parameters
    ----------
    like
        Tensor of the batch, length, d_model and dtype of the stream.
    group
        Channels whose streams are held at once.
    d_inner
        Channels inside the MLP.
    matmul_dtype
        Dtype of the matrix products.
    mixer
        Mixes the streams of a group.
    """

    def __init__(
        self,
        like: Float[Tensor, "batch length d_model"],
        *,
        group: int,
        d_inner: int,
        matmul_dtype: torch.dtype,
        mixer: Mixer,
    ) -> None:
        _let_memory_be_reused()
        batch, length, d_model = like.shape
        self.group, self.dtype = group, matmul_dtype
        padded = like.new_empty(
            batch, N_STREAMS * group + d_model, length + _ROW_PADDING, dtype=matmul_dtype
        )
        self.streams, self.y = padded[..., :length].split([N_STREAMS * group, d_model], dim=1)
        self.inner = like.new_empty(min(_TOKENS_FED, length), d_inner)
        self.mixer = mixer


def _let_memory_be_reused() -> None:
    """Allocate and free a block, so that glibc keeps freed blocks up to its size from then on.

    glibc raises its threshold to the largest block that was freed: see M_MMAP_THRESHOLD in
    mallopt(3). Otherwise the system would clear the memory of every FFT again.
    """
    torch.empty(_REUSED, dtype=torch.uint8)


def mix(
    residual: Residual,
    weights: LayerWeights,
    filters_of: Callable[[slice], Tensor],
    buffers: LayerBuffers,
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> None:
    """Compute the operator up to its last projection, and write the result to `buffers.y`.

    Parameters
    ----------
    residual
        The stream before the layer.
    weights
        The weights of the layer.
    filters_of
        Returns the long filters of some channels, as taps or spectra for `buffers.mixer`.
    buffers
        Those of all layers.
    mask
        False where a token is padding.
    """
    d_model = len(weights.out)
    for start in range(0, d_model, buffers.group):
        group = slice(start, min(start + buffers.group, d_model))
        bias = weights.project_bias
        streams = _project(
            residual.normed,
            _of_streams(weights.project, d_model, group),
            None if bias is None else _of_streams(bias, d_model, group),
            buffers,
            mask,
        )
        short = ShortFilter(*(_of_streams(t, d_model, group) for t in weights.short))
        filters = filters_of(group)
        for rows in buffers.mixer.chunks(group.stop - start):
            parts = split_streams(streams, short, rows)  # rows count within the group
            out = buffers.y[:, start + rows.start : start + rows.stop]
            buffers.mixer.mix(parts, mask, filters[rows], out=out)


def _of_streams(t: Tensor, d_model: int, group: slice) -> Tensor:
    """Return the rows that belong to a group of channels in each stream."""
    return t.unflatten(0, (N_STREAMS, d_model))[:, group].flatten(0, 1)


def _project(
    normed: Tensor, weight: Tensor, bias: Tensor | None, buffers: LayerBuffers, mask: Tensor | None
) -> Float[Tensor, "batch stream_channel length"]:
    """Project tiles of tokens into (channel, token) order."""
    weight = weight.to(buffers.dtype)
    batch, length, _ = normed.shape
    for row in range(batch):
        for start in range(0, length, _TOKENS_PROJECTED):
            tile = slice(start, start + _TOKENS_PROJECTED)
            out = buffers.streams[row, : len(weight), tile]
            torch.mm(weight, normed[row, tile].to(buffers.dtype).t(), out=out)
            if bias is not None and mask is not None:
                out.add_(bias[:, None]).masked_fill_(~mask[row, :, tile], 0.0)
    return buffers.streams[:, : len(weight)]


def feed_forward(residual: Residual, weights: LayerWeights, buffers: LayerBuffers) -> None:
    """Compute what follows the mixing: project, add, norm, MLP, add, and the next layer's norm.

    Parameters
    ----------
    residual
        The stream before the layer, which becomes the stream after it.
    weights
        The weights of the layer.
    buffers
        Those of all layers; `buffers.y` is what `mix` wrote.
    """
    out, expand, contract = (
        t.to(buffers.dtype).t() for t in (weights.out, weights.expand, weights.contract)
    )
    for row, tile in residual.tiles():
        r = residual.read(row, tile, weights.out_bias)
        _add_product(r, buffers.y[row, :, tile].t(), out)
        u = residual.steps.norm(r, residual.eps)
        inner = buffers.inner[: len(r)]
        if buffers.dtype is r.dtype:  # then the product can be written directly to the buffer
            torch.mm(u, expand, out=inner)
        else:
            inner.copy_(torch.mm(u.to(buffers.dtype), expand))
        _add_product(r, residual.steps.gelu(inner, weights.expand_bias), contract)
        residual.write(row, tile, r, weights.contract_bias)


def _add_product(r: Tensor, x: Tensor, weight: Tensor) -> None:
    """Add x @ weight to r; the product is computed in the dtype of weight."""
    if weight.dtype is r.dtype:
        r.addmm_(x, weight)
    else:
        r.add_(torch.mm(x.to(weight.dtype), weight))
