"""How the blocks are computed: the choice of an engine, and what this processor is good at."""

import logging
import time
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from megabase.errors import InputError
from megabase.model.architecture import Architecture
from megabase.ops.fft import fft_length
from megabase.ops.gated_conv import N_STREAMS
from megabase.ops.native import SOURCES, NativeSteps
from megabase.ops.native_mixer import mixer_bytes, n_points
from megabase.ops.steps import Steps
from megabase.runtime.compiler import compile_here

_log = logging.getLogger(__name__)

_SMALL, _FEW_TIMES = 256, 2


def product_rate(dtype: torch.dtype, *, size: int = 1024, times: int = 5) -> float:
    """Measure the speed of the product of two square matrices on the CPU.

    Parameters
    ----------
    dtype
        Dtype of the matrices.
    size
        Their number of rows.
    times
        Number of measurements, of which the fastest counts.

    Returns
    -------
    rate
        In 10⁹ floating-point operations per second.
    """
    a, b = (torch.ones(size, size, dtype=dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        torch.mm(a, b)
        fastest = min(fastest, time.perf_counter() - started)
    return 2e-9 * size**3 / fastest


@cache
def warn_of_slow_bfloat16(device: torch.device) -> None:
    """Log a warning, once, if products in the requested bfloat16 are slower than in float32.

    On a CPU without bfloat16 instructions they can be a hundred times slower.

    Parameters
    ----------
    device
        The device of the model; only a CPU is measured.
    """
    if device.type != "cpu":
        return
    half, single = (
        product_rate(dtype, size=_SMALL, times=_FEW_TIMES)
        for dtype in (torch.bfloat16, torch.float32)
    )
    if half < single:
        _log.warning(
            "bfloat16 matrix products take %.0f times as long as float32 ones on this processor, "
            "which has no instructions for them; leave out precision, or set it to float32",
            single / half,
        )


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_unmodified(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Return whether a module is exactly of one of the classes, without hooks or a new forward."""
    return type(module) in kinds and not has_hooks(module) and "forward" not in vars(module)


def has_hooks(module: nn.Module) -> bool:
    """Return whether a module has hooks, or hooks for all modules are registered."""
    of_all = bool(torch_module._has_any_global_hook())  # pyright: ignore[reportPrivateUsage]
    return of_all or any(vars(module).get(kind) for kind in _HOOKS)


ENGINES = ("auto", "plain", "lean", "triton", "streamed")
_GROUPS = (64, 32, 16, 8, 4, 2, 1)  # channels, fastest first; see `_groups`
_OF_A_CHANNEL = 24  # signals of the length of the FFT that a chunk of one channel needs
_FEW = 32 << 20  # numbers of all streams
_SPECTRA_BYTES = 1 << 30  # limit for spectra of filters if the user sets no limit
_CHUNK_BYTES = 160 << 20  # padded signals, spectra, inverse transforms and scratch of a chunk


@dataclass(frozen=True)
class Engine:
    """The requested way to compute the blocks.

    Parameters
    ----------
    name
        ``"plain"``: the definition, by torch operations. ``"lean"``: saves less for the gradient
        and recomputes it. ``"triton"``: like lean, by GPU kernels. ``"streamed"``: by
        `ops.streamed`, on a CPU without gradients. ``"auto"``: streamed if possible, otherwise
        lean.
    max_bytes
        Streamed only: the most memory that the tensors of a forward pass may take.
    matmul_dtype
        Streamed only: ``torch.bfloat16`` computes matrix products in that dtype, which is faster
        on CPUs with AMX or AVX512-BF16 and changes the results.

    Raises
    ------
    InputError
        If a value is invalid.
    """

    name: str = "auto"
    max_bytes: int | None = None
    matmul_dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise InputError(f"the engine must be one of {', '.join(ENGINES)}; got {self.name!r}")
        if self.max_bytes is not None and self.max_bytes < 1:
            raise InputError(f"the memory limit must be at least 1 byte, got {self.max_bytes}")
        if self.matmul_dtype not in (None, torch.bfloat16):
            raise InputError(
                f"matmul_dtype must be None or torch.bfloat16, got {self.matmul_dtype!r}"
            )

    @property
    def needs_streaming(self) -> str | None:
        """The part of the request that needs the streamed engine, None if there is no such part."""
        if self.name == "streamed":
            return "engine 'streamed'"
        if self.max_bytes is not None:
            return "a memory limit"
        return None if self.matmul_dtype is None else f"matmul_dtype {self.matmul_dtype}"


class EngineChoice(NamedTuple):
    """The engine that is used, and why."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class StreamedPlan(NamedTuple):
    """How a batch is streamed, and the peak memory of its tensors.

    Parameters
    ----------
    group
        Channels whose streams are held at once.
    keep_spectra
        Whether spectra of filters are kept for the next sequence of the same length.
    compiled_mixer
        Whether the mixer in C may be used.
    n_bytes
        Peak memory of tensors other than weights, in bytes.
    """

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
    """Return the fastest plan that fits the memory limit.

    Parameters
    ----------
    config
        The architecture.
    length
        Tokens of a sequence.
    batch
        Sequences in a batch.
    max_bytes
        The most memory for tensors other than weights; None: no limit, except 1 GiB for spectra
        that are kept.
    itemsize
        Bytes of a number.
    n_states
        Hidden states of earlier layers that are also returned.

    Raises
    ------
    InputError
        If no plan fits.
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
        f"{batch} x {length:,} tokens need at least {plans[-1].n_bytes / 2**30:.2f} GiB besides "
        f"the weights; the limit is {max_bytes / 2**30:.2f} GiB; raise it or shorten the input"
    )


def _groups(config: Architecture, length: int, batch: int) -> list[int]:
    """Return the sizes of groups to try: all channels if their streams are small, then fewer."""
    is_small = batch * length * N_STREAMS * config.d_model <= _FEW
    whole = [config.d_model] if is_small else []
    return [*whole, *(group for group in _GROUPS if group <= config.d_model)]


def _numbers(config: Architecture, length: int, batch: int, group: int) -> int:
    """Return how many numbers are held, without chunks of channels and kept spectra."""
    at_each_token = (
        2 * config.d_model  # the residual stream and the mixed channels
        + N_STREAMS * group
        + 2 * config.vocab_size  # logits, and values computed from them
        + 4  # scale, mean and token id
    )
    filters = (config.filter_order + group) * length
    folded = 2 * 11 * config.d_model**2  # folded weights of a layer and of the next one
    return batch * length * at_each_token + filters + folded


def _spectra(config: Architecture, length: int) -> int:
    of_a_channel = max(fft_length(2 * length - 1), 2 * n_points(length))
    return config.n_layer * config.d_model * of_a_channel


def steps_for(like: Tensor) -> Steps:
    """Return the fastest steps for streams of the device and dtype of `like`."""
    can = like.device.type == "cpu" and like.dtype is torch.float32
    return (_compiled()[0] if can else None) or Steps()


def why_not_compiled() -> str | None:
    """Return why the steps cannot be compiled on this computer, None if they can."""
    native, why_not = _compiled()
    return why_not if native is None else None


def describe_steps(dtype: torch.dtype) -> str:
    """Describe the steps for a dtype on a CPU, and the reason."""
    if dtype is not torch.float32:
        return f"by torch, because the dtype is {dtype}"
    why_not = why_not_compiled()
    return f"by torch, not compiled: {why_not}" if why_not else "compiled by gcc"


@cache
def _compiled() -> tuple[NativeSteps | None, str]:
    library, why_not = compile_here(SOURCES)
    if library is None:
        return None, why_not
    try:
        return NativeSteps(library), ""
    except OSError as error:  # files of the cache cannot be executed, or the library is wrong
        _log.warning("the compiled steps are not used: %s", error)
        return None, str(error)
