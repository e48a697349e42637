"""Memory and time of a request, told before it starts."""

import logging
from typing import NamedTuple

import torch

from megabase.errors import InputError
from megabase.model.cost import (
    generation_bytes,
    inference_bytes,
    n_parameters,
    training_bytes,
)
from megabase.model.language import LanguageModel, TokenReader
from megabase.model.probe import seconds_per_token
from megabase.run.environment import LIBRARIES_BYTES, memory_bytes
from megabase.run.log import counted

_log = logging.getLogger(__name__)

_GIB = 1 << 30
_AT_ONCE = 16  # sequences: with more, the sums of the long filters take all the time


class InferencePlan(NamedTuple):
    """What a request will take: GiB at its peak, the libraries included, seconds; and the engine.

    The engine is a detail of the log (``--verbose``) and not of the text.
    """

    peak_gib: float
    seconds: float
    engine: str

    def __str__(self) -> str:
        return f"about {self.peak_gib:.1f} GiB at the peak and {self.seconds:,.0f} s"


def plan_inference(
    model: TokenReader,
    *,
    longest: int,
    at_once: int,
    n_tokens: int,
    n_blocks: int | None = None,
    n_bytes_held: int = 0,
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
    n_blocks
        Blocks that are computed; None: all.
    n_bytes_held
        What is held beside them in the computer's memory, which counts on a CPU.

    Raises
    ------
    InputError
        If the memory of the device, or what may be taken of it, does not hold the longest
        sequence.
    """
    first = next(model.parameters())
    with torch.inference_mode():
        wide = torch.promote_types(first.dtype, torch.float32)
        choice = model.backbone.choose_engine(torch.empty(0, dtype=wide, device=first.device))
    positions = model.config.n_positions(longest)
    needed = LIBRARIES_BYTES + inference_bytes(
        model.config,
        positions,
        batch=-(-min(at_once, n_tokens * positions // longest) // positions),
        streamed=choice.name == "streamed",
        max_bytes=model.backbone.engine.max_bytes,
    )
    if first.device.type == "cpu":
        needed += n_bytes_held
    available = _memory(first.device)
    if needed > available:
        raise InputError(
            f"a sequence of {longest:,} tokens needs about {needed / _GIB:.1f} GiB, and there are "
            f"{available / _GIB:.1f}; take shorter sequences or a smaller model"
        )
    share = 1.0 if n_blocks is None else n_blocks / model.config.n_layer
    seconds = share * n_tokens * seconds_per_token(model, longest)
    _log.debug("the engine is %s", choice)
    return InferencePlan(round(needed / _GIB, 3), seconds, str(choice))


def plan_gradients(model: LanguageModel, *, longest: int, n_tokens: int) -> InferencePlan:
    """Plan gradients with respect to inputs, one sequence at a time, timing a short one.

    Those of the weights, which are not computed, are counted: it takes rather less.

    Parameters
    ----------
    model
        The model, on its device; it is in evaluation mode afterwards.
    longest
        Tokens of the longest sequence.
    n_tokens
        Tokens of all sequences.

    Raises
    ------
    InputError
        If the memory of the device does not hold the longest sequence.
    """
    first = next(model.parameters())
    with torch.enable_grad():
        choice = model.backbone.choose_engine(torch.empty(0, device=first.device))
    needed = LIBRARIES_BYTES + training_bytes(model.config, longest)
    available = _memory(first.device)
    if needed > available:
        raise InputError(
            f"the gradient of {longest:,} tokens needs about {needed / _GIB:.1f} GiB, and there "
            f"are {available / _GIB:.1f}; take shorter windows or a smaller model"
        )
    seconds = n_tokens * seconds_per_token(model, longest, training=True)
    model.eval()
    _log.debug("the engine for gradients is %s", choice)
    return InferencePlan(round(needed / _GIB, 3), seconds, str(choice))


class GenerationPlan(NamedTuple):
    """What generating will take: GiB at its peak, the libraries included, sequences at once."""

    peak_gib: float
    at_once: int

    def __str__(self) -> str:
        n = counted(self.at_once, "sequence")
        return f"about {self.peak_gib:.1f} GiB at the peak, {n} at a time"


def plan_generation(
    model: LanguageModel, *, prompt_length: int, length: int, n_sequences: int
) -> GenerationPlan:
    """Plan how many sequences are generated side by side: few, in at most half of the memory.

    Parameters
    ----------
    model
        The model, on its device.
    prompt_length, length
        Bases of the longest prompt, and bases to add.
    n_sequences
        Sequences in all.

    Raises
    ------
    InputError
        If the memory of the device does not hold one.
    """
    available = _memory(next(model.parameters()).device)

    def needed(batch: int) -> int:
        beside = generation_bytes(model.config, prompt_length, length, batch=batch)
        return LIBRARIES_BYTES + beside

    if needed(1) > available:
        raise InputError(
            f"generating {length:,} bp needs about {needed(1) / _GIB:.1f} GiB, and there are "
            f"{available / _GIB:.1f}; take a smaller length or model"
        )
    at_once = min(n_sequences, _AT_ONCE)
    while at_once > 1 and needed(at_once) > available / 2:
        at_once -= 1
    return GenerationPlan(round(needed(at_once) / _GIB, 3), at_once)


def bytes_beside(model: LanguageModel, max_memory_gib: float) -> int:
    """Give what a limit for the whole process leaves to the tensors of a forward pass.

    Raises
    ------
    InputError
        If it leaves nothing.
    """
    fixed = LIBRARIES_BYTES + 4 * n_parameters(model.config)
    if max_memory_gib * _GIB <= fixed:
        raise InputError(
            f"the libraries and the weights alone take about {fixed / _GIB:.1f} GiB, and "
            f"{max_memory_gib:g} may be taken; raise the limit of memory"
        )
    return int(max_memory_gib * _GIB) - fixed


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_bytes()
