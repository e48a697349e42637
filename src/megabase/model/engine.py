"""Which way the blocks are computed, and in how much memory."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from megabase.errors import InputError
from megabase.model.config import HyenaDNAConfig
from megabase.ops.gated_conv import N_STREAMS
from megabase.ops.transform import fft_length

ENGINES = ("auto", "plain", "lean", "streamed")
_GROUPS = (64, 32, 16, 8, 4, 2, 1)  # channels, the fastest first
_SPECTRA_BYTES = 1 << 30  # the most that spectra of filters take where no limit is set
_CHUNK_BYTES = 128 << 20  # padded signals, their spectra, signals again, and scratch
_NUMBER = 4  # bytes


@dataclass(frozen=True)
class Engine:
    """What is asked of the way the blocks are computed.

    Parameters
    ----------
    name
        ``"plain"`` is the definition. ``"lean"`` keeps less for the gradient and computes it
        again. ``"streamed"`` goes through `ops.streamed`: without gradients, on a CPU.
        ``"auto"`` takes the last that is possible.
    max_bytes
        The most memory that the tensors of a forward pass may take, when streamed.
    matmul_dtype
        ``torch.bfloat16``: compute matrix products in it, when streamed. On CPUs with AMX or
        AVX512-BF16 that is faster, and the answer is another.
    """

    name: str = "auto"
    max_bytes: int | None = None
    matmul_dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise InputError(f"an engine is one of {', '.join(ENGINES)}; got {self.name!r}")

    @property
    def needs_streaming(self) -> str | None:
        """What of it only the streamed engine can do."""
        if self.name == "streamed":
            return "engine 'streamed'"
        if self.max_bytes is not None:
            return "a limit of memory"
        return None if self.matmul_dtype is None else f"{self.matmul_dtype} of matrix products"


class EngineChoice(NamedTuple):
    """The engine that is used, and why."""

    name: str
    why: str


class StreamedPlan(NamedTuple):
    """How a batch is streamed, and the memory of its tensors at the peak."""

    group: int
    keep_spectra: bool
    n_bytes: int


def plan_streamed(
    config: HyenaDNAConfig, length: int, *, batch: int = 1, max_bytes: int | None = None
) -> StreamedPlan:
    """Take the fastest way that fits.

    Parameters
    ----------
    config
        The architecture.
    length
        Tokens of a sequence.
    batch
        Sequences at once.
    max_bytes
        The most memory for tensors, without the weights; None: whatever is needed, of which
        1 GiB for spectra that are kept.

    Raises
    ------
    InputError
        If no way fits.
    """
    plans = [
        StreamedPlan(group, keep, _bytes(config, length, batch, group, keep_spectra=keep))
        for group in _GROUPS
        for keep in (True, False)
        if group <= config.d_model
    ]
    if max_bytes is None:
        keep = _spectra_bytes(config, length) <= _SPECTRA_BYTES
        return next(plan for plan in plans if plan.keep_spectra is keep)
    for plan in plans:
        if plan.n_bytes <= max_bytes:
            return plan
    raise InputError(
        f"{batch} x {length:,} tokens need at least {plans[-1].n_bytes / 2**30:.2f} GiB beside "
        f"the weights, and may take {max_bytes / 2**30:.2f}; raise the limit or shorten the input"
    )


def _bytes(
    config: HyenaDNAConfig, length: int, batch: int, group: int, *, keep_spectra: bool
) -> int:
    at_each_token = (
        2 * config.d_model  # the residual stream, and what is mixed
        + N_STREAMS * group
        + 2 * config.vocab_size  # logits, and what is made of them
        + 4  # scale and mean, token
    )
    filters = (config.filter_order + group) * length
    one_channel = 8 * (batch + 1) * fft_length(2 * length - 1)
    chunk = max(_CHUNK_BYTES, _NUMBER * one_channel)
    kept = _spectra_bytes(config, length) if keep_spectra else 0
    return _NUMBER * (batch * length * at_each_token + filters) + chunk + kept


def _spectra_bytes(config: HyenaDNAConfig, length: int) -> int:
    return _NUMBER * config.n_layer * config.d_model * fft_length(2 * length - 1)
