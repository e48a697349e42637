"""How long a run will take, from a pass that is timed before it starts."""

import time

import torch

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.modeling import HyenaDNAForCausalLM

_PROBED = 4096  # tokens, the most that are timed


def seconds_per_token(model: HyenaDNAForCausalLM, longest: int) -> float:
    """Time the gradient of one short window, the second of two; the model stays as it is.

    Parameters
    ----------
    model
        The model, on its device.
    longest
        Tokens of the longest window of the run.
    """
    device = next(model.parameters()).device
    tokens = torch.full((1, min(longest, _PROBED)), DNA_VOCABULARY.base_ids[0], device=device)
    model.train()
    started = 0.0
    for _ in range(2):
        started = time.perf_counter()
        loss = model(tokens, labels=tokens, skip_logits=True).loss
        loss.backward()
        loss.item()
        model.zero_grad(set_to_none=True)
    return (time.perf_counter() - started) / tokens.shape[1]
