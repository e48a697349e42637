"""Estimate of the time per token, from a short timed pass."""

import math
import time
from typing import cast

import torch
from torch import Tensor

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.language import LanguageModel, TokenReader

_PROBED = 4096  # the most tokens of a timed pass
_TIMES = 4  # passes, of which the fastest counts, because the first makes FFT plans


def seconds_per_token(
    model: TokenReader, longest: int, *, at_once: int = 1, training: bool = False
) -> float:
    """Return the seconds per token of a short forward pass; the weights are not changed.

    Parameters
    ----------
    model
        The model, on its device.
    longest
        Tokens of the longest sequence that will be computed.
    at_once
        Sequences in a batch.
    training
        Whether to include the backward pass. It also sets the mode of the model.
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
    """Return a number that depends on the whole pass: in training of a language model, the loss."""
    if not isinstance(model, LanguageModel):
        return cast("Tensor", model(tokens).logits.sum())
    if training:
        return model.next_token_loss(tokens)
    return model.logits(tokens).sum()
