r"""Embeddings: the hidden states of a sequence, by token or pooled, of one strand or both.

.. math:: e = \frac{1}{n} \sum_{t=1}^{n} h_t
   :label: mean-embedding

is the mean of the hidden states h of a layer; the other poolings are named in `Pooling`.
Every token counts, N too: the model reads it and answers it like any other.

A sequence that is longer than the context is read in windows, and each position is taken
from the first window that reads it; pooling is over all positions. The other strand is read
in its own direction and then turned round, so that its answers stand at the positions of
the forward strand.

A window is read by itself, never beside others: even among windows of one length, a batch
may change the last bits. So an answer is a function of its sequence alone.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32

from megabase.errors import InputError, WorkError
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.hidden_states import hidden_states
from megabase.inference.pooling import MEAN, Pooling, check_layer
from megabase.inference.strands import EMBEDDING_STRANDS, strands_of
from megabase.inference.windows import Window, windows
from megabase.model.language import LanguageModel


def embed(
    model: LanguageModel,
    sequences: Iterable[TokenArray],
    *,
    layer: int | None = None,
    pooling: Pooling = MEAN,
    strand: str = "average",
    stride: int | None = None,
    on_tokens: Callable[[int], object] | None = None,
) -> Iterator[Float32[np.ndarray, "..."]]:
    """Give the embedding of each sequence, in order.

    What is held besides a window is the answer, of one strand or two.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device that shall do the work.
    sequences
        Tokens of each.
    layer
        As of `hidden_states`.
    pooling
        What is made of the hidden states.
    strand
        ``"forward"``; ``"average"``, the mean of both strands; or ``"both"``, the channels of
        the forward strand and then those of the other.
    stride
        Bases from window to window where a sequence is longer than the context; None: there
        is no such sequence.
    on_tokens
        Is told how many tokens were read, after each window.

    Yields
    ------
    embedding
        (channel,) where there is one vector, else (row, channel); the channels are d_model, or
        twice as many for both strands.

    Raises
    ------
    InputError
        If the model has no such layer, or a sequence is empty or too long.
    WorkError
        If the model answers with no number.
    """
    check_layer(layer, model.config.n_layer)
    strands = strands_of(strand, EMBEDDING_STRANDS)
    context = model.config.context_length
    device = next(model.parameters()).device
    for index, tokens in enumerate(sequences):
        found = _windows(index, len(tokens), context, stride)
        pools: list[_Pool] = []
        for each in strands:
            read = tokens if each == "+" else DNA_VOCABULARY.reverse_complement(tokens)
            pools.append(_pool(pooling, len(tokens), model.config.d_model, each))
            for window in found:
                row = torch.from_numpy(read[window.start : window.end].astype(np.int64))
                hidden = hidden_states(model, row[None].to(device), layer=layer)
                _add(pools[-1], hidden[0].float().cpu().numpy(), window, len(tokens), each)
                if on_tokens is not None:
                    on_tokens(len(row))
        yield _joined([pool.result() for pool in pools], pooling, strand)


def _windows(index: int, length: int, context: int, stride: int | None) -> list[Window]:
    """Cut a sequence into windows; an InputError where that cannot be, or was not asked for."""
    if not length:
        raise InputError(f"sequence {index} (counted from 0) has no letters; leave it out")
    if length > context and stride is None:
        raise InputError(
            f"sequence {index} (counted from 0) has {length:,} bp, and the model reads at most "
            f"{context:,} at once; give a stride, the bases from window to window"
        )
    return windows(length, context, context if stride is None else stride)


@runtime_checkable
class _Pool(Protocol):
    """Takes the hidden states of a strand, some positions at a time, and gives what they make.

    Positions are those of the forward strand, and `values` stand in their order.
    """

    def add(self, start: int, values: np.ndarray) -> None: ...

    def result(self) -> Float32[np.ndarray, "row d_model"]: ...


class _Each:
    """Each position as it is."""

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
        width, end = self._width, start + len(values)
        whole = slice(-(-start // width), end // width)  # windows of which all positions came
        edges = (whole.start * width, max(whole.start, whole.stop) * width)
        parts = np.split(values, np.clip(np.array(edges) - start, 0, len(values)))
        self._sums[whole] += parts[1].reshape(-1, width, values.shape[1]).sum(1, dtype=np.float64)
        for first, part in ((start, parts[0]), (edges[1], parts[2])):
            if len(part):
                self._sums[first // width] += part.sum(0, dtype=np.float64)

    def result(self) -> Float32[np.ndarray, "row d_model"]:
        return (self._sums / self._sizes[:, None]).astype(np.float32)


class _Largest:
    """The largest of each channel."""

    def __init__(self, d_model: int) -> None:
        self._largest = np.full((1, d_model), -np.inf, dtype=np.float32)

    def add(self, start: int, values: np.ndarray) -> None:
        del start
        np.maximum(self._largest, values.max(axis=0), out=self._largest)

    def result(self) -> Float32[np.ndarray, "row d_model"]:
        return self._largest


class _One:
    """One position."""

    def __init__(self, position: int, d_model: int) -> None:
        self._position = position
        self._row = np.empty((1, d_model), dtype=np.float32)

    def add(self, start: int, values: np.ndarray) -> None:
        if start <= self._position < start + len(values):
            self._row[0] = values[self._position - start]

    def result(self) -> Float32[np.ndarray, "row d_model"]:
        return self._row


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
    """Take from the hidden states of a window those that it is there for."""
    scored = values[window.first - window.start :]
    if strand == "+":
        pool.add(window.first, scored)
    else:
        pool.add(length - window.end, scored[::-1])


def _joined(
    found: list[Float32[np.ndarray, "row d_model"]], pooling: Pooling, strand: str
) -> Float32[np.ndarray, "..."]:
    """Make one answer of those of the strands."""
    if not all(np.isfinite(rows).all() for rows in found):
        raise WorkError("the model's answer is no number: its weights have diverged")
    if strand == "both":
        rows = np.concatenate(found, axis=1)
    else:
        rows = (found[0] + found[1]) / np.float32(2) if len(found) == 2 else found[0]
    return rows if pooling.width else rows[0]
