"""How long a token takes, from a short pass that is timed."""

import math
import time
from typing import cast

import torch
from torch import Tensor

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.language import LanguageModel, TokenReader

_PROBED = 4096  # tokens, the most that are timed
_TIMES = 4  # of which the fastest counts: the first makes plans, others may be disturbed


def seconds_per_token(
    model: TokenReader, longest: int, *, at_once: int = 1, training: bool = False
) -> float:
    """Time a forward pass over a short sequence, or its gradient; the weights stay as they are.

    Parameters
    ----------
    model
        The model, on its device.
    longest
        Tokens of the longest sequence that will be asked for.
    at_once
        Sequences that pass through the model at once.
    training
        Whether the gradient is computed, too.
    """
    device = next(model.parameters()).device
    length = min(longest, _PROBED)
    shape = (min(at_once, max(1, _PROBED // length)), length)
    tokens = torch.full(shape, DNA_VOCABULARY.base_ids[0], device=device)
    model.train(training)
    fastest = math.inf
    for _ in range(_TIMES):
        started = time.perf_counter()
        with torch.set_grad_enabled(training):
            answer = _answer(model, tokens, training)
        if training:
            answer.backward()
        answer.item()
        model.zero_grad(set_to_none=True)
        fastest = min(fastest, time.perf_counter() - started)
    return fastest / tokens.numel()


def _answer(model: TokenReader, tokens: Tensor, training: bool) -> Tensor:
    """Give one number that all of the work goes into; of a language model in training, the loss."""
    if not isinstance(model, LanguageModel):
        return cast("Tensor", model(tokens).logits.sum())
    if training:
        return model.next_token_loss(tokens)
    return model.logits(tokens).sum()
