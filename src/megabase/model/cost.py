"""Parameters and memory as functions of configuration and length."""

import torch

from megabase.model.backbone import Backbone
from megabase.model.config import HyenaDNAConfig

_FLOAT32 = 4  # bytes
_LIVE = 17  # see `inference_bytes`


def n_parameters(config: HyenaDNAConfig) -> int:
    """Count the parameters, the head being the embedding.

    Examples
    --------
    >>> n_parameters(HyenaDNAConfig(d_model=128, n_layer=2))
    436096
    """
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Backbone(config).parameters())


def inference_bytes(config: HyenaDNAConfig, length: int, *, batch: int = 1) -> int:
    """Estimate the memory of one forward pass in float32: weights and activations.

    At its peak, in the long convolution, a block holds about `_LIVE` tensors of
    (batch, length, d_model). What the libraries themselves take comes on top.

    Parameters
    ----------
    config
        The architecture.
    length
        Tokens of a sequence.
    batch
        Sequences at once.

    Source
    ------
    Measured: `benchmarks/memory.py`.
    """
    activations = _LIVE * batch * length * config.d_model
    return _FLOAT32 * (n_parameters(config) + activations)
