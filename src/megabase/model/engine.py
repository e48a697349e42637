"""Which way the blocks are computed, and in how much memory."""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch

from megabase.errors import InputError
from megabase.model.architecture import Architecture
from megabase.ops.gated_conv import N_STREAMS
from megabase.ops.native_mixer import mixer_bytes, n_points
from megabase.ops.transform import fft_length

ENGINES = ("auto", "plain", "lean", "triton", "streamed")
_GROUPS = (64, 32, 16, 8, 4, 2, 1)  # channels, the fastest first; see `_groups`
_OF_A_CHANNEL = 24  # signals as long as the FFT, for a chunk of one
_FEW = 32 << 20  # numbers of all streams
_SPECTRA_BYTES = 1 << 30  # the most that spectra of filters take where no limit is set
_CHUNK_BYTES = 160 << 20  # padded signals, their spectra, signals again, and scratch


@dataclass(frozen=True)
class Engine:
    """What is asked of the way the blocks are computed.

    Parameters
    ----------
    name
        ``"plain"`` is the definition. ``"lean"`` keeps less for the gradient and computes it
        again; ``"triton"`` does so by kernels for a GPU. ``"streamed"`` goes through
        `ops.streamed`: without gradients, on a CPU. ``"auto"`` is streamed where that is
        possible, and lean elsewhere.
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
        if self.max_bytes is not None and self.max_bytes < 1:
            raise InputError(f"a limit of memory is at least 1 byte, got {self.max_bytes}")
        if self.matmul_dtype not in (None, torch.bfloat16):
            raise InputError(f"matmul_dtype is None or torch.bfloat16, got {self.matmul_dtype!r}")

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

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class StreamedPlan(NamedTuple):
    """How a batch is streamed, and the memory of its tensors at the peak."""

    group: int
    keep_spectra: bool
    compiled_mixer: bool
    n_bytes: int


def plan_streamed(
    config: Architecture,
    length: int,
    *,
    batch: int = 1,
    max_bytes: int | None = None,
    itemsize: int = 4,
    n_states: int = 0,
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
    itemsize
        Bytes of a number.
    n_states
        Hidden states of earlier layers that are given back, too.

    Raises
    ------
    InputError
        If no way fits.
    """
    one_channel = _OF_A_CHANNEL * (batch + 1) * fft_length(2 * length - 1)
    chunk = max(_CHUNK_BYTES, itemsize * one_channel)
    plans = []
    for compiled in (True, False):
        room = max(chunk, mixer_bytes(length)) if compiled else chunk
        for group, keep in product(_groups(config, length, batch), (True, False)):
            numbers = _numbers(config, length, batch, group)
            numbers += n_states * batch * length * config.d_model
            numbers += _spectra(config, length) if keep else 0
            plans.append(StreamedPlan(group, keep, compiled, itemsize * numbers + room))
    if max_bytes is None:
        keep = itemsize * _spectra(config, length) <= _SPECTRA_BYTES
        return next(plan for plan in plans if plan.keep_spectra is keep)
    for plan in plans:
        if plan.n_bytes <= max_bytes:
            return plan
    raise InputError(
        f"{batch} x {length:,} tokens need at least {plans[-1].n_bytes / 2**30:.2f} GiB beside "
        f"the weights, and may take {max_bytes / 2**30:.2f}; raise the limit or shorten the input"
    )


def _groups(config: Architecture, length: int, batch: int) -> list[int]:
    """All channels at once where their streams are small, and some at a time."""
    is_small = batch * length * N_STREAMS * config.d_model <= _FEW
    whole = [config.d_model] if is_small else []
    return [*whole, *(group for group in _GROUPS if group <= config.d_model)]


def _numbers(config: Architecture, length: int, batch: int, group: int) -> int:
    """Count what is held besides some chunks of channels and kept spectra."""
    at_each_token = (
        2 * config.d_model  # the residual stream, and what is mixed
        + N_STREAMS * group
        + 2 * config.vocab_size  # logits, and what is made of them
        + 4  # scale and mean, token
    )
    filters = (config.filter_order + group) * length
    folded = 2 * 11 * config.d_model**2  # weights of a layer, while the next one's are made
    return batch * length * at_each_token + filters + folded


def _spectra(config: Architecture, length: int) -> int:
    of_a_channel = max(fft_length(2 * length - 1), 2 * n_points(length))
    return config.n_layer * config.d_model * of_a_channel
