"""How long a run will take, from a pass that is timed before it starts."""

import math
import time

import torch

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.modeling import HyenaDNAForCausalLM

_PROBED = 4096  # tokens, the most that are timed
_TIMES = 4  # of which the fastest counts: the first makes plans, others may be disturbed


def seconds_per_token(model: HyenaDNAForCausalLM, longest: int) -> float:
    """Time the gradient of one short window; the model stays as it is.

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
    fastest = math.inf
    for _ in range(_TIMES):
        started = time.perf_counter()
        loss = model(tokens, labels=tokens, skip_logits=True).loss
        loss.backward()
        loss.item()
        model.zero_grad(set_to_none=True)
        fastest = min(fastest, time.perf_counter() - started)
    return fastest / tokens.shape[1]
