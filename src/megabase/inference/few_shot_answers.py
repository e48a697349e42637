"""Few-shot classification: a language model predicts a class after demonstrations in its input."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from megabase.errors import InputError, WorkError
from megabase.genome.few_shot_prompt import (
    Shot,
    answer_token,
    check_fits,
    demonstration_tokens,
    few_shot_prompt,
)
from megabase.genome.vocabulary import TokenArray
from megabase.inference.hidden import hidden_states
from megabase.model.cache import SharedPrompt, why_not_cached
from megabase.model.language import LanguageModel, batches, pad

_log = logging.getLogger(__name__)

TOKENS_PER_BATCH = 1 << 13
"""The most tokens in a batch of queries, padding included."""

Read = Callable[[Int64[Tensor, "batch length"], Int64[Tensor, " batch"]], Tensor]


def few_shot_probabilities(
    model: LanguageModel,
    shots: Sequence[Shot],
    queries: Sequence[TokenArray],
    letters: str,
    *,
    read_once: bool = True,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    advance: Callable[[int], None] | None = None,
) -> Float64[np.ndarray, "row class"]:
    """Return the probability of each class for each query.

    It is the probability of the class's letter after the last SEP token, normalised over the
    letters of all classes.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device to compute on.
    shots
        The demonstrations, the same for all queries; may be empty.
    queries
        Token ids of each sequence to classify.
    letters
        The letter that stands for each class, in the order of the classes.
    read_once
        Whether the demonstrations are read once and shared by all queries; the result is the
        same up to rounding. If the model has adapters or hooks, or an order other than 2, they
        are read for every query instead, and a log line reports it.
    tokens_per_batch
        The most tokens in a batch, padding included; a longer prompt is a batch by itself.
    advance
        Called after each batch with the number of queries done.

    Raises
    ------
    InputError
        If there are no queries, a demonstration is invalid, or a prompt exceeds the context.
    WorkError
        If the model's output is NaN or infinite.
    """
    if not len(queries):
        raise InputError("expected at least one sequence to classify, got none")
    longest, context_length = max(map(len, queries)), model.config.context_length
    check_fits(shots, longest, context_length, n_classes=len(letters))
    device = next(model.parameters()).device
    shown = demonstration_tokens(shots, letters)
    obstacle = why_not_shared(model)
    if shots and read_once and obstacle:
        _log.info("demonstrations are read again for every query, because %s", obstacle)
    is_shared = bool(shots) and read_once and obstacle is None
    if is_shared:
        prompt = torch.from_numpy(shown.astype(np.int64)).to(device)
        read: Read = SharedPrompt(model.backbone, prompt, longest + 1).logits_after
    else:
        read = _reader(model)
    of_letters = torch.from_numpy(np.concatenate([*map(answer_token, letters)]).astype(np.int64))
    probabilities = np.empty((len(queries), len(letters)))
    order = sorted(range(len(queries)), key=lambda row: len(queries[row]))  # less padding
    asked = (few_shot_prompt(() if is_shared else shots, queries[row], letters) for row in order)
    n_done = 0
    for batch in batches(asked, tokens_per_batch):
        last = torch.tensor([len(each) - 1 for each in batch], device=device)
        logits = read(pad(batch)[0].to(device), last)[:, of_letters.to(device)]
        rows = order[n_done : n_done + len(batch)]
        probabilities[rows] = logits.double().softmax(-1).cpu().numpy()
        n_done += len(batch)
        if advance is not None:
            advance(len(batch))
    if not np.isfinite(probabilities).all():
        raise WorkError("the model's output is NaN or infinite: its weights have diverged")
    return probabilities


def why_not_shared(model: LanguageModel) -> str | None:
    """Return why demonstrations cannot be read once for all queries, or None if they can."""
    return why_not_cached(model.backbone)


def _reader(model: LanguageModel) -> Read:
    """Return a function that reads whole prompts and returns the logits after the last token."""

    def read(
        tokens: Int64[Tensor, "batch length"], last: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch token"]:
        with torch.inference_mode():
            hidden = hidden_states(model, tokens)  # causal: padding on the right is not seen
            ends = hidden[torch.arange(len(tokens), device=tokens.device), last]
            ((_, logits),) = model.logits_of(ends[:, None])
        return logits[:, 0]

    return read
