"""The class of a sequence as a language model tells it after demonstrations in its input."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from megabase.errors import InputError, WorkError
from megabase.genome.few_shot import (
    Shot,
    answer_token,
    check_fits,
    demonstration_tokens,
    few_shot_prompt,
)
from megabase.genome.vocabulary import TokenArray
from megabase.inference.hidden_states import hidden_states
from megabase.model.language import LanguageModel
from megabase.model.padding import batches, pad
from megabase.model.shared_prompt import SharedPrompt
from megabase.model.streamed import what_is_changed

_log = logging.getLogger(__name__)

TOKENS_PER_BATCH = 1 << 13
"""The most tokens, padding included, that are read at once after shared demonstrations."""

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
    """Give the probability of each class: of its letter among those of all, after the last SEP.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, on the device that shall do the work.
    shots
        The demonstrations, which are the same for all queries; there may be none.
    queries
        Tokens of each sequence whose class is asked for.
    letters
        That of each class, as of `answer.answer_letters`.
    read_once
        Read the demonstrations once, and every query on from there; the answer is the same up
        to rounding. Where the model is changed, by adapters or hooks, or of another order than
        2, they are read anew for every query all the same, and a line of the log says so.
    tokens_per_batch
        The most tokens, padding included, that the model sees at once, but for one prompt
        that is longer by itself.
    advance
        Is told the queries that are done, a few at a time.

    Raises
    ------
    InputError
        If there are no queries, a row or label is none, or a prompt exceeds the context.
    WorkError
        If the model answers with no number.
    """
    if not len(queries):
        raise InputError("there are no queries; give at least one sequence")
    longest, context_length = max(map(len, queries)), model.config.context_length
    check_fits(shots, longest, context_length, n_classes=len(letters))
    device = next(model.parameters()).device
    shown = demonstration_tokens(shots, letters)
    obstacle = why_not_once(model)
    if shots and read_once and obstacle:
        _log.info("demonstrations are read anew for every query, as %s", obstacle)
    is_shared = bool(shots) and read_once and obstacle is None
    if is_shared:
        prompt = torch.from_numpy(shown.astype(np.int64)).to(device)
        read: Read = SharedPrompt(model.backbone, prompt, longest + 1).logits_after
    else:
        read = _reader(model)
    of_letters = torch.from_numpy(np.concatenate([*map(answer_token, letters)]).astype(np.int64))
    probabilities = np.empty((len(queries), len(letters)))
    order = sorted(range(len(queries)), key=lambda row: len(queries[row]))
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
        raise WorkError("the model's answer is no number: its weights have diverged")
    return probabilities


def why_not_once(model: LanguageModel) -> str | None:
    """Say why demonstrations cannot be read once for all queries, or None if they can."""
    return what_is_changed(model.backbone.blocks, model.backbone.norm)


def _reader(model: LanguageModel) -> Read:
    """Read whole prompts."""

    def read(
        tokens: Int64[Tensor, "batch length"], last: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch token"]:
        with torch.inference_mode():
            hidden = hidden_states(model, tokens)  # padding on the right is not seen
            ends = hidden[torch.arange(len(tokens), device=tokens.device), last]
            ((_, logits),) = model.logits_of(ends[:, None])
        return logits[:, 0]

    return read
