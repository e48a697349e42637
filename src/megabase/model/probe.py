"""How long a token takes, from a short pass that is timed."""

import math
import time

import torch

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.modeling import HyenaDNAForCausalLM

_PROBED = 4096  # tokens, the most that are timed
_TIMES = 4  # of which the fastest counts: the first makes plans, others may be disturbed


def seconds_per_token(model: HyenaDNAForCausalLM, longest: int, *, training: bool = False) -> float:
    """Time a forward pass over a short sequence, or its gradient; the weights stay as they are.

    Parameters
    ----------
    model
        The model, on its device.
    longest
        Tokens of the longest sequence that will be asked for.
    training
        Whether the gradient is computed, too.
    """
    device = next(model.parameters()).device
    tokens = torch.full((1, min(longest, _PROBED)), DNA_VOCABULARY.base_ids[0], device=device)
    model.train(training)
    fastest = math.inf
    for _ in range(_TIMES):
        started = time.perf_counter()
        with torch.set_grad_enabled(training):
            output = model(tokens, labels=tokens if training else None, skip_logits=training)
        if training:
            output.loss.backward()
            output.loss.item()
            model.zero_grad(set_to_none=True)
        else:
            output.logits.sum().item()
        fastest = min(fastest, time.perf_counter() - started)
    return fastest / tokens.shape[1]
