r"""The log-likelihood of each base given those before it, and the four probabilities there.

.. math:: \ln p(x_t \mid x_{<t}) = z_{x_t} - \ln \sum_{b \in \{A, C, G, T\}} e^{z_b}
   :label: log-likelihood

with the logits z of the model after :math:`x_{<t}`. Probabilities are renormalised over
the four bases, so that they can be compared with any model of DNA. The first base has
probability 1/4. N is read but not scored. Summed over a sequence this is the logarithm of a
proper probability among all sequences of its length.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from megabase.errors import WorkError
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.hidden import features_after, hidden_states
from megabase.inference.windows import Window, windows
from megabase.model.language import TOKENS_PER_BATCH, LanguageModel, batches, pad
from megabase.ops.memory import Features, Gaps


def log_probabilities(
    model: LanguageModel,
    tokens: TokenArray,
    windows: Sequence[Window],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    gaps: Sequence[Gaps] | None = None,
) -> Iterator[Float32[np.ndarray, "scored base"]]:
    """Yield, for each window, ln p of A, C, G, T at the positions that it scores.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    tokens
        Token ids of the whole sequence.
    windows
        Windows of the sequence, all of the same length.
    tokens_per_batch
        The most tokens in a batch; a longer window is a batch by itself.
    gaps
        For each window, what does not count of an index with which the memory begins.

    Raises
    ------
    WorkError
        If the model's output is NaN.
    """
    length = windows[0].end - windows[0].start
    at_once = max(1, tokens_per_batch // length)
    device = next(model.parameters()).device
    for start in range(0, len(windows), at_once):
        batch = windows[start : start + at_once]
        stacked = np.stack([tokens[window.start : window.end] for window in batch])
        rows = torch.from_numpy(stacked.astype(np.int64)).to(device)
        with torch.inference_mode():
            own = None if gaps is None else gaps[start : start + at_once]
            features = None if own is None else features_after(model, rows, None, own)
            logits = logits_before(model, rows, features=features)
            log_p = torch.cat([base_log_probabilities(part) for _, part in logits], dim=1)
        for window, values in zip(batch, log_p.cpu().numpy(), strict=True):
            scored = values[window.first - window.start :]
            if np.isnan(scored).any():
                raise WorkError("the model's output is NaN: its weights have diverged")
            yield scored


_Part = tuple[slice, Float[Tensor, "batch part token"]]


def log_likelihoods(
    model: LanguageModel,
    sequences: Iterable[TokenArray],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    advance: Callable[[int], None] | None = None,
    features: Iterator[Features] | None = None,
    gaps: Iterator[Gaps] | None = None,
) -> Iterator[Float32[np.ndarray, " _"]]:
    """Yield, for each sequence in order, the log-likelihood in nats of each base.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    sequences
        Token ids of each sequence, at most as many as the model reads.
    tokens_per_batch
        The most tokens in a batch, padding included; a longer sequence is a batch by itself.
    advance
        Called with 1 after each sequence.
    features
        For a model with a memory, those of each sequence, if its memory has read more than the
        sequence.
    gaps
        What does not count, for each sequence, of an index with which the memory begins; without
        `features`.

    Yields
    ------
    values
        One for each token; NaN where it is N, and nowhere else.

    Raises
    ------
    WorkError
        If the log-likelihood of a base is NaN.
    """
    for batch in batches(sequences, tokens_per_batch):
        device = next(model.parameters()).device
        tokens, mask = (tensor.to(device) for tensor in pad(batch))
        with torch.inference_mode():
            given = None if mask.all() else mask
            known = None if features is None else _padded(features, batch).to(device)
            if gaps is not None:
                known = features_after(model, tokens, given, [next(gaps) for _ in batch])
            parts = logits_before(model, tokens, given, features=known)
            values = _joined(parts, tokens).cpu().numpy()
        for row, sequence in zip(values, batch, strict=True):
            scored = _checked(row[: len(sequence)].copy(), sequence)
            if advance is not None:
                advance(1)
            yield scored


def _padded(
    features: Iterator[Features], batch: Sequence[TokenArray]
) -> Float[Tensor, "batch length feature"]:
    """Return the features of the sequences of a batch, padded on the right."""
    longest = max(map(len, batch))
    rows = [next(features) for _ in batch]
    padded = [np.pad(row, ((0, longest - len(row)), (0, 0))) for row in rows]
    return torch.from_numpy(np.stack(padded))


class Reading(NamedTuple):
    """Results for one sequence from a single forward pass.

    Parameters
    ----------
    log_likelihoods
        Nats, one for each token; NaN where it is N.
    embedding
        Mean over all tokens of the last layer's hidden states, normalised.
    """

    log_likelihoods: Float32[np.ndarray, " length"]
    embedding: Float64[np.ndarray, " d_model"]


def readings(
    model: LanguageModel,
    sequences: Iterable[TokenArray],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    gaps: Iterator[Gaps] | None = None,
) -> Iterator[Reading]:
    """Yield log-likelihoods and embedding of each sequence.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    sequences
        Token ids of each sequence, at most as many as the model reads.
    tokens_per_batch
        The most tokens in a batch, padding included; a longer sequence is a batch by itself.
    gaps
        As in `log_likelihoods`.

    Raises
    ------
    WorkError
        If the log-likelihood of a base is NaN.
    """
    for batch in batches(sequences, tokens_per_batch):
        device = next(model.parameters()).device
        tokens, mask = (tensor.to(device) for tensor in pad(batch))
        with torch.inference_mode():
            own = None if gaps is None else [next(gaps) for _ in batch]
            hidden = hidden_states(model, tokens, None if mask.all() else mask, gaps=own)
            values = _joined(_moved(model, tokens, model.logits_of(hidden)), tokens).cpu().numpy()
        states = hidden.cpu().numpy()
        for row, of_row, sequence in zip(values, states, batch, strict=True):
            n = len(sequence)
            embedding = of_row[:n].mean(axis=0, dtype=np.float64)
            yield Reading(_checked(row[:n].copy(), sequence), embedding)


def _checked(
    values: Float32[np.ndarray, " length"], sequence: TokenArray
) -> Float32[np.ndarray, " length"]:
    if (np.isnan(values) & np.isin(sequence, DNA_VOCABULARY.base_ids)).any():
        raise WorkError("the model's output is NaN: its weights have diverged")
    return values


def long_log_likelihoods(
    model: LanguageModel,
    sequences: Iterable[TokenArray],
    *,
    stride: int,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    advance: Callable[[int], None] | None = None,
) -> Iterator[Float32[np.ndarray, " _"]]:
    """Yield what `log_likelihoods` does, for sequences that may be longer than the context.

    A longer sequence is read in overlapping `windows`, and each base is taken from the first
    window that reads it, in which at least context length minus stride bases precede it, except
    in the first window. A shorter sequence is one window, and its values are those of
    `log_likelihoods`. One sequence and its values are held in memory, about 5 bytes per base.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    sequences
        Token ids of each sequence, of any length.
    stride
        Bases between the starts of windows, from 1 to the context length.
    tokens_per_batch
        The most tokens in a batch, padding included; a longer window is a batch by itself.
    advance
        Called with 1 after each window.

    Yields
    ------
    values
        One for each token; NaN where it is N, and nowhere else.

    Raises
    ------
    InputError
        If the stride is out of range.
    WorkError
        If the log-likelihood of a base is NaN.
    """
    # Batches may span several sequences, so windows are queued until their values arrive.
    places: deque[tuple[Window, int]] = deque()

    def cut() -> Iterator[TokenArray]:
        for tokens in sequences:
            for window in windows(len(tokens), model.config.context_length, stride):
                places.append((window, len(tokens)))
                yield tokens[window.start : window.end]

    whole = np.empty(0, dtype=np.float32)
    for values in log_likelihoods(model, cut(), tokens_per_batch=tokens_per_batch, advance=advance):
        window, length = places.popleft()
        if window.start == 0:
            whole = np.empty(length, dtype=np.float32)
        whole[window.first : window.end] = values[window.first - window.start :]
        if window.end == length:
            yield whole


def base_log_likelihoods(
    logits: Float[Tensor, "batch length token"], tokens: Int64[Tensor, "batch length"]
) -> Float32[Tensor, "batch length"]:
    """Apply Eq. log-likelihood to each token; the result is NaN where it is not a base.

    Parameters
    ----------
    logits
        Logits of each token given the tokens before it.
    tokens
        Token ids.
    """
    first, last = DNA_VOCABULARY.base_ids[0], DNA_VOCABULARY.base_ids[-1]
    log_p = base_log_probabilities(logits)
    is_base = (tokens >= first) & (tokens <= last)
    base = torch.where(is_base, tokens - first, 0)
    return log_p.gather(-1, base[..., None])[..., 0].masked_fill(~is_base, torch.nan).float()


def base_log_probabilities(
    logits: Float[Tensor, "*shape token"],
) -> Float[Tensor, "*shape base"]:
    """Return the natural logarithms of the probabilities of A, C, G and T, which sum to 1.

    Logits of lower precision than float32 are converted to float32 first.
    """
    first, last = DNA_VOCABULARY.base_ids[0], DNA_VOCABULARY.base_ids[-1]
    wide = torch.promote_types(logits.dtype, torch.float32)
    return torch.log_softmax(logits[..., first : last + 1].to(wide), dim=-1)


def logits_before(
    model: LanguageModel,
    tokens: Int64[Tensor, "batch length"],
    mask: Tensor | None = None,
    *,
    features: Float[Tensor, "batch length feature"] | None = None,
) -> Iterator[tuple[slice, Float[Tensor, "batch part token"]]]:
    """Yield, for some tokens at a time, the logits of each token given the tokens before it.

    The logits of the first token are all 0, a uniform distribution. Disable gradients around
    the whole loop, not only around the call.

    Parameters
    ----------
    model
        A causal language model in evaluation mode.
    tokens
        Token ids, on the model's device.
    mask
        False where a token is padding; None if there is no padding.
    features
        Those of the memory; None: of a memory that begins with the tokens.
    """
    yield from _moved(model, tokens, model.logits_in_chunks(tokens, mask, features=features))


def _moved(
    model: LanguageModel, tokens: Int64[Tensor, "batch length"], parts: Iterator[_Part]
) -> Iterator[_Part]:
    """Shift logits from the token after which they are computed to the token they predict.

    The logits after the last token predict nothing and are dropped.
    """
    yield slice(0, 1), torch.zeros(len(tokens), 1, model.config.vocab_size, device=tokens.device)
    for positions, logits in parts:
        part = slice(positions.start + 1, min(positions.stop + 1, tokens.shape[1]))
        yield part, logits[:, : part.stop - part.start]


def _joined(
    parts: Iterator[_Part], tokens: Int64[Tensor, "batch length"]
) -> Float32[Tensor, "batch length"]:
    values = [base_log_likelihoods(logits, tokens[:, part]) for part, logits in parts]
    return torch.cat(values, dim=1)
