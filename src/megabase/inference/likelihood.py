r"""The log-likelihood of each base given those before it.

.. math:: \ln p(x_t \mid x_{<t}) = z_{x_t} - \ln \sum_{b \in \{A, C, G, T\}} e^{z_b}
   :label: log-likelihood

with the logits z of the model after :math:`x_{<t}`. Probabilities are renormalised over
the four bases, so that they compare with any model of DNA; a base that nothing precedes
has probability 1/4; N is read but not scored. Summed over a sequence this is the
logarithm of a proper probability among all sequences of its length.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from megabase.errors import WorkError
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.hidden_states import hidden_states
from megabase.inference.windows import Window, windows
from megabase.model.language import LanguageModel
from megabase.model.padding import batches, pad

TOKENS_PER_BATCH = 1 << 15
"""The most tokens, padding included, that the model sees at once, unless told otherwise."""

_Part = tuple[slice, Float[Tensor, "batch part token"]]


def log_likelihoods(
    model: LanguageModel,
    sequences: Iterable[TokenArray],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    advance: Callable[[int], None] | None = None,
) -> Iterator[Float32[np.ndarray, " _"]]:
    """Give, for each sequence in order, the log-likelihood in nats of each base.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device that shall do the work.
    sequences
        Tokens of each; none longer than the model reads.
    tokens_per_batch
        The most tokens, padding included, that the model sees at once, but for one
        sequence that is longer by itself.
    advance
        Is told each sequence that is done.

    Yields
    ------
    values
        One for each token; NaN where it is N, and nowhere else.

    Raises
    ------
    WorkError
        If the model answers a base with no number.
    """
    for batch in batches(sequences, tokens_per_batch):
        device = next(model.parameters()).device
        tokens, mask = (tensor.to(device) for tensor in pad(batch))
        with torch.inference_mode():
            parts = logits_before(model, tokens, None if mask.all() else mask)
            values = _joined(parts, tokens).cpu().numpy()
        for row, sequence in zip(values, batch, strict=True):
            scored = _checked(row[: len(sequence)].copy(), sequence)
            if advance is not None:
                advance(1)
            yield scored


class Reading(NamedTuple):
    """What a model makes of one sequence in one pass.

    Parameters
    ----------
    log_likelihoods
        As of `log_likelihoods`.
    embedding
        The mean over all tokens of the last layer's hidden states, normed.
    """

    log_likelihoods: Float32[np.ndarray, " length"]
    embedding: Float64[np.ndarray, " d_model"]


def readings(model: LanguageModel, sequences: Iterable[TokenArray]) -> Iterator[Reading]:
    """Give log-likelihoods and embedding of each sequence, which is read by itself.

    Parameters, values and errors are those of `log_likelihoods` with one sequence at once.
    """
    for sequence in sequences:
        tokens = pad([sequence])[0].to(next(model.parameters()).device)
        with torch.inference_mode():
            hidden = hidden_states(model, tokens)
            values = _joined(_moved(model, tokens, model.logits_of(hidden)), tokens)
        embedding = hidden[0].cpu().numpy().mean(axis=0, dtype=np.float64)
        yield Reading(_checked(values[0].cpu().numpy(), sequence), embedding)


def _checked(
    values: Float32[np.ndarray, " length"], sequence: TokenArray
) -> Float32[np.ndarray, " length"]:
    if (np.isnan(values) & np.isin(sequence, DNA_VOCABULARY.base_ids)).any():
        raise WorkError("the model's answer is no number: its weights have diverged")
    return values


def long_log_likelihoods(
    model: LanguageModel,
    sequences: Iterable[TokenArray],
    *,
    stride: int,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    advance: Callable[[int], None] | None = None,
) -> Iterator[Float32[np.ndarray, " _"]]:
    """Give what `log_likelihoods` does, of sequences that may be longer than the context.

    A longer one is read in the `windows` of the stride, and each base is taken from the first
    window that reads it, where it sees at least the context length less the stride. A
    sequence that is not longer is one window, and its answer is that of `log_likelihoods`.
    Beside the model this holds one sequence and its values, some 5 bytes a base.

    Parameters
    ----------
    model, tokens_per_batch
        As of `log_likelihoods`.
    sequences
        Tokens of each, of any length.
    stride
        Bases between the starts of windows, from 1 to the context length.
    advance
        Is told each window that is done.

    Raises
    ------
    InputError
        If the stride is none.
    WorkError
        If the model answers a base with no number.
    """
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
    """Apply Eq. log-likelihood to each token; NaN where it is no base.

    Parameters
    ----------
    logits
        Of each token, from those before it.
    tokens
        The tokens themselves.
    """
    first, last = DNA_VOCABULARY.base_ids[0], DNA_VOCABULARY.base_ids[-1]
    log_p = base_log_probabilities(logits)
    is_base = (tokens >= first) & (tokens <= last)
    base = torch.where(is_base, tokens - first, 0)
    return log_p.gather(-1, base[..., None])[..., 0].masked_fill(~is_base, torch.nan).float()


def base_log_probabilities(
    logits: Float[Tensor, "*shape token"],
) -> Float[Tensor, "*shape base"]:
    """Give the natural logarithm of the probabilities of A, C, G and T, which sum to 1.

    They are in float32 at least, whatever the logits are in.
    """
    first, last = DNA_VOCABULARY.base_ids[0], DNA_VOCABULARY.base_ids[-1]
    wide = torch.promote_types(logits.dtype, torch.float32)
    return torch.log_softmax(logits[..., first : last + 1].to(wide), dim=-1)


def logits_before(
    model: LanguageModel, tokens: Int64[Tensor, "batch length"], mask: Tensor | None = None
) -> Iterator[tuple[slice, Float[Tensor, "batch part token"]]]:
    """Give, for some tokens at a time, the logits of each from those before it.

    Those of the first token, which nothing precedes, are alike. Switch gradients off
    around the whole loop.
    """
    yield from _moved(model, tokens, model.logits_in_parts(tokens, mask))


def _moved(
    model: LanguageModel, tokens: Int64[Tensor, "batch length"], parts: Iterator[_Part]
) -> Iterator[_Part]:
    """Move logits from the token that they follow to the token that they tell."""
    yield slice(0, 1), torch.zeros(len(tokens), 1, model.config.vocab_size, device=tokens.device)
    for positions, logits in parts:
        part = slice(positions.start + 1, min(positions.stop + 1, tokens.shape[1]))
        yield part, logits[:, : part.stop - part.start]


def _joined(
    parts: Iterator[_Part], tokens: Int64[Tensor, "batch length"]
) -> Float32[Tensor, "batch length"]:
    values = [base_log_likelihoods(logits, tokens[:, part]) for part, logits in parts]
    return torch.cat(values, dim=1)
