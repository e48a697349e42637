"""Memory and time of a request, told before it starts."""

from typing import NamedTuple

import torch

from megabase.errors import InputError
from megabase.model.cost import inference_bytes
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.probe import seconds_per_token
from megabase.run.environment import LIBRARIES_BYTES, memory_bytes

_GIB = 1 << 30


class InferencePlan(NamedTuple):
    """What a request will take: GiB at its peak, the libraries included, and seconds."""

    peak_gib: float
    seconds: float

    def __str__(self) -> str:
        return f"about {self.peak_gib:.1f} GiB at the peak and {self.seconds:,.0f} s"


def plan_inference(
    model: HyenaDNAForCausalLM, *, longest: int, at_once: int, n_tokens: int
) -> InferencePlan:
    """Plan forward passes over many sequences, timing a short one.

    Parameters
    ----------
    model
        The model, on its device.
    longest
        Tokens of the longest sequence.
    at_once
        The most tokens of a batch, but for one sequence that is longer by itself.
    n_tokens
        Tokens of all sequences.

    Raises
    ------
    InputError
        If the memory of the device does not hold the longest sequence.
    """
    needed = LIBRARIES_BYTES + inference_bytes(model.config, max(longest, min(at_once, n_tokens)))
    available = _memory(next(model.parameters()).device)
    if needed > available:
        raise InputError(
            f"a sequence of {longest:,} tokens needs about {needed / _GIB:.1f} GiB, and there are "
            f"{available / _GIB:.1f}; take shorter sequences or a smaller model"
        )
    return InferencePlan(round(needed / _GIB, 3), n_tokens * seconds_per_token(model, longest))


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_bytes()
