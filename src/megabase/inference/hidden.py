r"""The hidden states of a sequence, and embeddings: by token or pooled, of one strand or both.

.. math:: e = \frac{1}{n} \sum_{t=1}^{n} h_t
   :label: mean-embedding

is the mean of the hidden states h of a layer; `Pooling` lists the other poolings. Every
token counts, including N, which the model reads like any other.

A sequence longer than the context is read in windows, and each position is taken from the
first window that reads it; pooling is over all positions. The reverse strand is read in its
own direction; its hidden states are then reversed, so that they are indexed by positions of
the forward strand.

Windows are read in batches, and the other windows of a batch may change the last bits. With
batches of one window an embedding is a function of its sequence alone.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from megabase.errors import InputError, WorkError
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.choices import EMBEDDING_STRANDS, MEAN, Pooling, check_layer, strands_of
from megabase.inference.windows import Window, windows
from megabase.model.language import TOKENS_PER_BATCH, LanguageModel, batches, pad
from megabase.ops.memory import Gaps


def hidden_states(
    model: LanguageModel,
    tokens: Int64[Tensor, "batch length"],
    mask: Bool[Tensor, "batch length"] | None = None,
    *,
    layer: int | None = None,
    gaps: Sequence[Gaps] | None = None,
) -> Float[Tensor, "batch length d_model"]:
    """Return the hidden states of a layer; only the blocks up to it are computed.

    Parameters
    ----------
    model
        A causal language model in evaluation mode.
    tokens
        Token ids, on the model's device.
    mask
        False where a token is padding; None if there is no padding.
    layer
        0 for the embedding, k for the residual stream after k blocks; the last layer is the
        residual stream after all blocks, normalised. Layers are numbered as in the model's
        `output_hidden_states`. None: the last layer.
    gaps
        For each sequence, what does not count of an index with which the memory begins.

    Raises
    ------
    InputError
        If the model has no such layer.
    """
    n_blocks = check_layer(layer, model.config.n_layer)
    with torch.inference_mode():
        features = None if gaps is None else features_after(model, tokens, mask, gaps)
        return model.hidden_states(tokens, mask, n_blocks=n_blocks, features=features)


def features_after(
    model: LanguageModel,
    tokens: Int64[Tensor, "batch length"],
    mask: Bool[Tensor, "batch length"] | None,
    gaps: Sequence[Gaps],
) -> Float[Tensor, "batch length feature"] | None:
    """Return the features of a batch after the index of the model; None without a memory.

    Parameters
    ----------
    model
        The model.
    tokens, mask
        Token ids, and False where one is padding; None if there is no padding.
    gaps
        For each sequence, what does not count of the index.
    """
    memory = model.backbone.memory
    if memory is None:
        return None
    return memory.features(tokens, mask, gaps=gaps, max_bytes=model.backbone.engine.max_bytes)


def embed(
    model: LanguageModel,
    sequences: Iterable[TokenArray],
    *,
    layer: int | None = None,
    pooling: Pooling = MEAN,
    strand: str = "average",
    stride: int | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    on_tokens: Callable[[int], object] | None = None,
    gaps_of: Callable[[int, int, int], Gaps] | None = None,
) -> Iterator[Float32[np.ndarray, "..."]]:
    """Yield the embedding of each sequence, in order.

    Memory holds one batch of windows, and the embeddings of the sequences that it is part of.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    sequences
        Token ids of each sequence.
    layer
        0 for the embedding of the tokens, k for the output of block k; None: the last layer,
        normalised.
    pooling
        How the hidden states are pooled.
    strand
        ``"forward"``; ``"average"``, the mean of both strands; or ``"both"``, the channels of
        the forward strand followed by those of the reverse strand.
    stride
        Bases between the starts of windows, for a sequence longer than the context; None:
        such a sequence is an error.
    tokens_per_batch
        The most tokens in a batch, padding included; a longer window is a batch by itself.
    on_tokens
        Called after each window with the number of tokens read.
    gaps_of
        Called with the number of a sequence, and start and end of a window of its forward strand;
        returns what does not count of an index with which the memory begins. None: everything
        counts.

    Yields
    ------
    embedding
        (channel,) for a pooling to one vector, else (row, channel). There are d_model
        channels, or twice as many if `strand` is ``"both"``.

    Raises
    ------
    InputError
        If the model has no such layer, or a sequence is empty or too long.
    WorkError
        If the model's output is NaN or infinite.
    """
    check_layer(layer, model.config.n_layer)
    strands = strands_of(strand, EMBEDDING_STRANDS)
    device = next(model.parameters()).device
    reads: deque[_Read] = deque()  # a batch may span several sequences, and a sequence several
    found = _cut(model, sequences, strands, pooling, stride, reads)
    for batch in batches(found, tokens_per_batch):
        rows, mask = (tensor.to(device) for tensor in pad(batch))
        gaps = None if gaps_of is None else [_gaps(gaps_of, reads[i]) for i in range(len(batch))]
        hidden = hidden_states(model, rows, None if mask.all() else mask, layer=layer, gaps=gaps)
        for values, window_tokens in zip(hidden.float().cpu().numpy(), batch, strict=True):
            read = reads.popleft()
            _add(read.pool, values[: len(window_tokens)], read.window, read.length, read.strand)
            if on_tokens is not None:
                on_tokens(len(window_tokens))
            if read.ended is not None:
                yield _joined([pool.result() for pool in read.ended], pooling, strand)


def _windows(index: int, length: int, context: int, stride: int | None) -> list[Window]:
    """Cut a sequence into windows; raise an InputError if it is empty, or long without stride."""
    if not length:
        raise InputError(f"sequence {index} (counted from 0) has no letters; leave it out")
    if length > context and stride is None:
        raise InputError(
            f"sequence {index} (counted from 0) has {length:,} bp, and the model reads at most "
            f"{context:,} at once; give a stride, the bases between the starts of windows"
        )
    return windows(length, context, context if stride is None else stride)


@runtime_checkable
class _Pool(Protocol):
    """Pools the hidden states of one strand, which arrive some positions at a time.

    `start` is a position of the forward strand, and `values` are in ascending order of position.
    """

    def add(self, start: int, values: np.ndarray) -> None: ...

    def result(self) -> Float32[np.ndarray, "row d_model"]: ...


class _Each:
    """Keeps the hidden state of each position."""

    def __init__(self, length: int, d_model: int) -> None:
        self._rows = np.empty((length, d_model), dtype=np.float32)

    def add(self, start: int, values: np.ndarray) -> None:
        self._rows[start : start + len(values)] = values

    def result(self) -> Float32[np.ndarray, "row d_model"]:
        return self._rows


class _Means:
    """Eq. mean-embedding of each `width` positions, summed in float64."""

    def __init__(self, length: int, d_model: int, width: int) -> None:
        starts = np.arange(0, length, width)
        self._width, self._sizes = width, np.minimum(width, length - starts)
        self._sums = np.zeros((len(starts), d_model))

    def add(self, start: int, values: np.ndarray) -> None:
        # `values` may begin and end within a window. They are split into the rest of a window
        # that was begun earlier, windows that are complete, and the beginning of another.
        width, end = self._width, start + len(values)
        whole = slice(-(-start // width), end // width)
        edges = (whole.start * width, max(whole.start, whole.stop) * width)
        parts = np.split(values, np.clip(np.array(edges) - start, 0, len(values)))
        self._sums[whole] += parts[1].reshape(-1, width, values.shape[1]).sum(1, dtype=np.float64)
        for first, part in ((start, parts[0]), (edges[1], parts[2])):
            if len(part):
                self._sums[first // width] += part.sum(0, dtype=np.float64)

    def result(self) -> Float32[np.ndarray, "row d_model"]:
        return (self._sums / self._sizes[:, None]).astype(np.float32)


class _Largest:
    """Keeps the maximum of each channel."""

    def __init__(self, d_model: int) -> None:
        self._largest = np.full((1, d_model), -np.inf, dtype=np.float32)

    def add(self, start: int, values: np.ndarray) -> None:
        del start
        np.maximum(self._largest, values.max(axis=0), out=self._largest)

    def result(self) -> Float32[np.ndarray, "row d_model"]:
        return self._largest


class _One:
    """Keeps the hidden state of one position."""

    def __init__(self, position: int, d_model: int) -> None:
        self._position = position
        self._row = np.empty((1, d_model), dtype=np.float32)

    def add(self, start: int, values: np.ndarray) -> None:
        if start <= self._position < start + len(values):
            self._row[0] = values[self._position - start]

    def result(self) -> Float32[np.ndarray, "row d_model"]:
        return self._row


class _Read(NamedTuple):
    """A window that is read: where its hidden states go, and the pools that it completes."""

    number: int
    pool: _Pool
    window: Window
    length: int
    strand: str
    ended: list[_Pool] | None


def _cut(
    model: LanguageModel,
    sequences: Iterable[TokenArray],
    strands: tuple[str, ...],
    pooling: Pooling,
    stride: int | None,
    reads: deque[_Read],
) -> Iterator[TokenArray]:
    """Yield the tokens of every window of every strand, and append to `reads` what it is."""
    for index, tokens in enumerate(sequences):
        length = len(tokens)
        found = _windows(index, length, model.config.context_length, stride)
        pools = [_pool(pooling, length, model.config.d_model, each) for each in strands]
        for strand, pool in zip(strands, pools, strict=True):
            read = tokens if strand == "+" else DNA_VOCABULARY.reverse_complement(tokens)
            for window in found:
                is_last = pool is pools[-1] and window is found[-1]
                reads.append(_Read(index, pool, window, length, strand, pools if is_last else None))
                yield read[window.start : window.end]


def _gaps(gaps_of: Callable[[int, int, int], Gaps], read: _Read) -> Gaps:
    window, length = read.window, read.length
    if read.strand == "+":
        return gaps_of(read.number, window.start, window.end)
    return gaps_of(read.number, length - window.end, length - window.start)


def _pool(pooling: Pooling, length: int, d_model: int, strand: str) -> _Pool:
    match pooling.kind:
        case "none":
            return _Each(length, d_model)
        case "max":
            return _Largest(d_model)
        case "last":
            return _One(length - 1 if strand == "+" else 0, d_model)
        case "centre":
            return _One(length // 2, d_model)
        case _:
            return _Means(length, d_model, pooling.width or length)


def _add(pool: _Pool, values: np.ndarray, window: Window, length: int, strand: str) -> None:
    """Add to a pool the hidden states of the positions that a window is the first to read."""
    scored = values[window.first - window.start :]
    if strand == "+":
        pool.add(window.first, scored)
    else:  # window.end - 1 on the reverse strand is length - window.end on the forward strand
        pool.add(length - window.end, scored[::-1])


def _joined(
    found: list[Float32[np.ndarray, "row d_model"]], pooling: Pooling, strand: str
) -> Float32[np.ndarray, "..."]:
    """Combine the pooled rows of the strands."""
    if not all(np.isfinite(rows).all() for rows in found):
        raise WorkError("the model's output is NaN or infinite: its weights have diverged")
    if strand == "both":
        rows = np.concatenate(found, axis=1)
    else:
        rows = (found[0] + found[1]) / np.float32(2) if len(found) == 2 else found[0]
    return rows if pooling.width else rows[0]
