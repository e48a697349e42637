"""Parameters and memory as functions of configuration and length."""

import torch

from megabase.model.backbone import Backbone
from megabase.model.config import HyenaDNAConfig
from megabase.model.engine import plan_streamed

_FLOAT32 = 4  # bytes
_OF_A_PARAMETER = 4 * _FLOAT32  # in training: weight, gradient, two moments

# Tensors of (batch, length, d_model) that are held at the peak; see `training_bytes`.
_INFERENCE = 16
_TRAINING, _TRAINING_PER_BLOCK = 12, (37, 32)
_CHECKPOINTING, _CHECKPOINTING_PER_BLOCK = 39, (13, 1.7)
_GIVEN_BACK = 32 << 20  # bytes from which on the C library gives a freed tensor back


def n_parameters(config: HyenaDNAConfig) -> int:
    """Count the parameters, the head being the embedding.

    Examples
    --------
    >>> n_parameters(HyenaDNAConfig(d_model=128, n_layer=2))
    436096
    """
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Backbone(config).parameters())


def inference_bytes(
    config: HyenaDNAConfig,
    length: int,
    *,
    batch: int = 1,
    streamed: bool = True,
    max_bytes: int | None = None,
) -> int:
    """Estimate the memory of one forward pass in float32: weights and activations.

    Streamed, `engine.plan_streamed` tells what is held. Otherwise a block holds, at its
    peak in the long convolution, 16 tensors of (batch, length, d_model). What the libraries
    themselves take comes on top.

    Parameters
    ----------
    config
        The architecture.
    length
        Tokens of a sequence.
    batch
        Sequences at once.
    streamed
        Whether the streamed engine is used, as on a CPU.
    max_bytes
        The limit that it shall keep, without the weights.

    Raises
    ------
    InputError
        If nothing keeps the limit.

    Source
    ------
    Measured on CPUs: `benchmarks/memory.py`.
    """
    weights = _FLOAT32 * n_parameters(config)
    if streamed and config.hyena_order == 2:
        return weights + plan_streamed(config, length, batch=batch, max_bytes=max_bytes).n_bytes
    return weights + _INFERENCE * _FLOAT32 * batch * length * config.d_model


def training_bytes(
    config: HyenaDNAConfig, length: int, *, batch: int = 1, checkpointing: bool = False
) -> int:
    """Estimate the memory of an optimiser step in float32 on one batch.

    Each parameter has a gradient and AdamW's two moments. A block keeps 32 tensors of
    (batch, length, d_model) for the gradient; with gradient checkpointing only its
    input, and the 32 exist for one block at a time. Tensors below 32 MiB cost more,
    because the C library keeps what is freed.

    Parameters
    ----------
    config
        The architecture.
    length
        Tokens of a sequence.
    batch
        Sequences at once.
    checkpointing
        Whether blocks are computed again for the gradient.

    Source
    ------
    Measured on CPUs: `benchmarks/memory.py`.
    """
    tensor = _FLOAT32 * batch * length * config.d_model
    fixed = _CHECKPOINTING if checkpointing else _TRAINING
    small, large = _CHECKPOINTING_PER_BLOCK if checkpointing else _TRAINING_PER_BLOCK
    per_block = large if tensor >= _GIVEN_BACK else small
    n_tensors = fixed + config.n_layer * per_block
    return int(_OF_A_PARAMETER * n_parameters(config) + n_tensors * tensor)
