"""Parameters and memory by configuration and length, the time of a token, and what devices have."""

import math
import time
from typing import cast

import torch
from torch import Tensor

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.architecture import Architecture
from megabase.model.backbone import Backbone
from megabase.model.language import LanguageModel, TokenReader
from megabase.model.memory_mixer import (
    features_bytes,
    is_read_beside,
    memory_rules,
    reading_bytes,
    tables_bytes,
)
from megabase.ops.gated_conv import n_kept
from megabase.ops.native_memory import native_memory_bytes
from megabase.ops.recompute import KEPT_INSIDE
from megabase.ops.streamed_plan import plan_streamed
from megabase.runtime.environment import memory_bytes

LIBRARIES_BYTES = int(0.4 * (1 << 30))
"""Memory of a process after importing torch and transformers; see benchmarks/memory.py."""

_FLOAT32 = 4  # bytes
_OF_A_PARAMETER = 4 * _FLOAT32  # in training: weight, gradient, two moments of the optimiser

# Memory at the peak: working memory for chunks, and tensors of (batch, length, d_model). Of these
# there is a fixed number and a number for each block, for tensors below `_GIVEN_BACK` ("small")
# and above ("large").
_CHUNKS = 150 << 20
_INFERENCE = 16
_PROMPT = 6  # for a prompt, while it passes through a layer of a cache
_TRAINING = {"small": (10, 14.0), "large": (10, 9.2)}
_PLAIN_PER_BLOCK = 40  # for operators of another order, which save everything for the gradient
_CHECKPOINTING = {"small": (10, 9.0), "large": (15, 3.4)}
_MIXED, _WIDTHS = 1, 3  # tensors of d_model and memory_width of the network of a memory
_GIVEN_BACK = 32 << 20  # bytes from which the C library returns freed tensors to the system


def device_bytes(device: torch.device) -> int:
    """Return the memory of a GPU in bytes; for other devices, that of the computer."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_bytes()


def n_parameters(config: Architecture) -> int:
    """Return the number of parameters; the head shares the embedding.

    Examples
    --------
    >>> n_parameters(Architecture(d_model=128, n_layer=2))
    436096
    """
    return sum(parameter.numel() for parameter in Backbone.empty(config).parameters())


def inference_bytes(
    config: Architecture,
    length: int,
    *,
    batch: int = 1,
    streamed: bool = True,
    max_bytes: int | None = None,
) -> int:
    """Estimate the memory of one forward pass in float32: weights, activations, and features.

    The features of a memory are computed before the blocks, or beside them. For the streamed
    engine, see `streamed_plan.plan_streamed`. Otherwise a block holds, at its peak in the long
    convolution, 16 tensors of (batch, length, d_model). Memory of the libraries themselves is not
    included.

    Parameters
    ----------
    config
        The architecture.
    length
        Tokens of a sequence.
    batch
        Sequences in a batch.
    streamed
        Whether the streamed engine is used, as on a CPU.
    max_bytes
        The engine's limit for tensors other than weights.

    Returns
    -------
    n_bytes
        In bytes.

    Raises
    ------
    InputError
        If no way to compute stays below the limit.

    Source
    ------
    Measured on CPUs: `benchmarks/memory.py`.
    """
    weights, features = _FLOAT32 * n_parameters(config), features_bytes(config, batch * length)
    reading = reading_bytes(config, length, batch=batch, max_bytes=max_bytes)
    if is_read_beside(length, batch=batch, max_bytes=max_bytes):
        weights += tables_bytes(config, length, batch=batch)
    if streamed and config.hyena_order == 2:
        plan = plan_streamed(
            config, length, batch=batch, max_bytes=max_bytes, n_bytes_beside=features
        )
        return weights + max(reading, plan.n_bytes)
    computing = features + _INFERENCE * _FLOAT32 * batch * length * config.d_model
    return weights + max(reading, computing)


def generation_bytes(
    config: Architecture, prompt_length: int, length: int, *, batch: int = 1
) -> int:
    """Estimate the memory of generating in float32 with `model.cache`, in bytes.

    Every channel of every layer holds, for each base to come, a tap, about one number of
    spectra, and one number per sequence; the prompt passes through one layer at a time. Each
    sequence has a memory of its own, if the model has one.

    Parameters
    ----------
    config
        The architecture.
    prompt_length, length
        Tokens of the longest prompt, and tokens to generate.
    batch
        Sequences in a batch.
    """
    kept = config.n_layer * length * (2 + batch)
    passing = 4 * (prompt_length + length) + _PROMPT * batch * prompt_length
    weights = 2 * n_parameters(config)  # those of the model, and the copy in the cache
    rules = memory_rules(config)
    memories = 0 if rules is None else batch * native_memory_bytes(rules, prompt_length + length)
    numbers = weights + config.d_model * (kept + passing)
    return _FLOAT32 * numbers + _CHUNKS + memories


def training_bytes(
    config: Architecture, length: int, *, batch: int = 1, checkpointing: bool = False
) -> int:
    """Estimate the memory of an optimiser step in float32 on one batch, in bytes.

    Each parameter has a gradient and AdamW's two moments. For the gradient a block saves six
    tensors of (batch, length, d_model), among them the three projected streams; if they are
    small, also the inner channels of its MLP, and convolutions with their spectra. With gradient
    checkpointing it saves only its input. Of a memory, the features are held in half and single
    precision, and the inner channels of its network are saved. Freed memory that the C library
    retains is included, which is more for tensors below 32 MiB.

    Parameters
    ----------
    config
        The architecture.
    length
        Tokens of a sequence.
    batch
        Sequences in a batch.
    checkpointing
        Whether blocks are recomputed for the gradient.

    Source
    ------
    Measured on CPUs: `benchmarks/memory.py`.
    """
    tensor = _FLOAT32 * batch * length * config.d_model
    of_memory = _mixer_training_bytes(config, batch * length)
    if config.hyena_order != 2:
        per_operator = _PLAIN_PER_BLOCK * config.n_layer * tensor + of_memory
        return int(_OF_A_PARAMETER * n_parameters(config) + _CHUNKS + per_operator)
    n_inner = batch * length * cast("int", config.d_inner)
    of_mlp = 0 if n_inner > KEPT_INSIDE else 2 * n_inner
    kept = 0 if checkpointing else of_mlp + n_kept(batch, config.d_model, length)
    kind = "large" if tensor >= _GIVEN_BACK else "small"
    fixed, per_block = (_CHECKPOINTING if checkpointing else _TRAINING)[kind]
    n_tensors = fixed + config.n_layer * per_block
    weights = _OF_A_PARAMETER * n_parameters(config)
    kept_bytes = _FLOAT32 * config.n_layer * kept
    return int(weights + _CHUNKS + n_tensors * tensor + kept_bytes + of_memory)


def _mixer_training_bytes(config: Architecture, n_tokens: int) -> int:
    """Return the bytes of features, and of what is saved of the network that reads them."""
    rules = memory_rules(config)
    if rules is None:
        return 0
    of_a_token = rules.n_features + _MIXED * config.d_model + _WIDTHS * config.memory_width
    return features_bytes(config, n_tokens) + _FLOAT32 * n_tokens * of_a_token


_BASES = (DNA_VOCABULARY.base_ids[0], DNA_VOCABULARY.base_ids[-1] + 1)
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
    # Letters of a random sequence: the time of a memory depends on repeats.
    letters = torch.randint(*_BASES, shape, generator=torch.Generator().manual_seed(0))
    tokens = letters.to(device)
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
