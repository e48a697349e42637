"""The dispatcher: which implementation computes a layer, and why.

`choose` selects the engine from the request, the device, the dtype, the mode of gradients and the
state of the model; `steps_for`, `mixer_for`, `transform_for`, `gated_conv`, `add_norm` and
`long_conv` select the code for the operations between the matrix products; `new_memory`, `reading`
and `memory_features` that of the memory. Every choice of an engine has a reason, which is logged or
part of an error. `ops.streamed_plan` selects tiles.

Triton is imported only if its kernels are requested. They are tested both compiled and in
Triton's interpreter.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from megabase.errors import InputError
from megabase.ops import definition, fft
from megabase.ops.fft import SplitTransform, Transform
from megabase.ops.gated_conv import Mixer, Workspace
from megabase.ops.gated_conv import gated_conv as mixed_in_chunks
from megabase.ops.memory import (
    Gaps,
    Memory,
    MemoryBase,
    MemoryRules,
    Odds,
    PlainMemory,
    RowFeatures,
    Rows,
)
from megabase.ops.native_memory import SOURCES as MEMORY_SOURCES
from megabase.ops.native_memory import MemoryLibrary, NativeMemory
from megabase.ops.native_mixer import N_BACKWARD, N_FORWARD, mixer_bytes
from megabase.ops.short_conv import ShortFilter
from megabase.ops.steps import SOURCES, NativeSteps, Steps
from megabase.runtime.compiler import compile_here

_log = logging.getLogger(__name__)

ENGINES = ("auto", "plain", "lean", "triton", "streamed")
_SPLIT_FROM = 1 << 19  # points of an FFT on a CPU
_MOST_IN_PYTHON = 1 << 16  # letters of a base that each memory in Python reads again


@dataclass(frozen=True)
class Engine:
    """The requested way to compute the layers.

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


def choose(
    requested: Engine,
    r: Tensor,
    *,
    order: int,
    traced: str | None,
    find_obstacle: Callable[[], str | None],
) -> EngineChoice:
    """Return the engine that computes a residual stream like `r`, and why.

    Parameters
    ----------
    requested
        The request.
    r
        A tensor of the device and dtype of the stream.
    order
        Gates of an operator.
    traced
        How the call is traced or transformed, as `tracing.why_traced` returns it.
    find_obstacle
        Returns why reading the weights would not be sufficient to compute the layers, None if it
        is. It is called only if everything else allows the streamed engine.

    Raises
    ------
    InputError
        If the requested engine or option cannot be used.
    """
    if traced is not None:
        return _choose_traced(requested, traced)
    by_name = requested.name not in ("auto", "streamed")
    obstacle = (
        f"engine {requested.name!r} was requested"
        if by_name
        else _why_not_streamed(r) or find_obstacle()
    )
    if obstacle is None:
        why = f"in tiles that fit the caches of a CPU; steps {describe_steps(r.dtype)}"
        return EngineChoice("streamed", why)
    if requested.needs_streaming:
        raise InputError(
            f"{requested.needs_streaming} is for inference on a CPU with the streamed engine, "
            f"but {obstacle}; leave it out"
        )
    if requested.name == "triton":
        reason = why_no_kernels(r) or (f"operators of order {order}" if order != 2 else None)
        if reason is not None:
            raise InputError(f"engine 'triton' cannot be used: {reason}; use engine 'auto'")
    if by_name and requested.name != "lean":
        return EngineChoice(requested.name, "as requested")
    return EngineChoice("lean", f"not streamed: {obstacle}")


def _choose_traced(requested: Engine, why: str) -> EngineChoice:
    """Return the plain engine; raise an InputError if the request excludes it."""
    if requested.needs_streaming or requested.name == "triton":
        only = requested.needs_streaming or "engine 'triton'"
        raise InputError(
            f"{only} cannot be used, because {why}; set model.backbone.engine = "
            "megabase.ops.backends.Engine('plain')"
        )
    return EngineChoice("plain", why)


def _why_not_streamed(r: Tensor) -> str | None:
    """Return why layers cannot be streamed here and now, None if they can."""
    if torch.is_grad_enabled():
        return "gradients are enabled"
    if r.device.type != "cpu":
        return f"the model is on {r.device.type}"
    return "autocast is on" if torch.is_autocast_enabled("cpu") else None


def steps_for(like: Tensor, *, compiled: bool = True) -> Steps:
    """Return the fastest steps for streams of the device and dtype of `like`.

    Parameters
    ----------
    like
        A tensor of that device and dtype.
    compiled
        Whether compiled steps are allowed; False if a plan has no memory for their mixer.
    """
    can = compiled and like.device.type == "cpu" and like.dtype is torch.float32
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


def new_memory(
    rules: MemoryRules,
    odds: Odds,
    *,
    expected: int,
    base: MemoryBase | None = None,
    gaps: Gaps = (),
) -> Memory:
    """Return a memory that is empty or begins after a base: in C if possible, else in Python.

    Parameters
    ----------
    rules, odds
        What is counted and followed, and log-odds of pointers.
    expected
        Letters for which tables are allocated; they grow if more are read.
    base, gaps
        What was read before, and the parts of it that count as unknown.

    Raises
    ------
    InputError
        If the base does not have all orders of the rules, or is too long to be read in Python.
    """
    library = _library_for(rules, base)
    if library is None:
        return PlainMemory(rules, odds, base, gaps)
    return library.memory(rules, odds, expected=expected, base=base, gaps=gaps)


def memory_features(
    rules: MemoryRules,
    odds: Odds,
    letters: Rows,
    *,
    base: MemoryBase | None = None,
    gaps: Sequence[Gaps] | None = None,
) -> RowFeatures:
    """Return the features of rows of letters, each with a memory of its own.

    Parameters
    ----------
    rules, odds
        What is counted and followed, and log-odds of pointers.
    letters
        Numbers of letters, as in `ops.memory`.
    base
        What each memory has read before; None: nothing.
    gaps
        For each row, the parts of the base that count as unknown; None: none.

    Raises
    ------
    InputError
        As in `new_memory`.
    """
    library = _library_for(rules, base)
    if library is None:
        of_rows = gaps or [()] * len(letters)
        memories = (PlainMemory(rules, odds, base, each) for each in of_rows)
        return np.stack([memory.read(row) for memory, row in zip(memories, letters, strict=True)])
    return library.read_rows(rules, odds, letters, base, gaps)


def _library_for(rules: MemoryRules, base: MemoryBase | None) -> MemoryLibrary | None:
    """Return the compiled functions, if there are any; check that memories can follow a base."""
    library = _native_memory()
    if base is not None:
        base.check(rules)
        if library is None and base.n_letters > _MOST_IN_PYTHON:
            raise InputError(
                f"an index of {base.n_letters:,} letters needs the memory in C, which is not "
                f"compiled here ({why_memory_not_compiled()}); `megabase doctor` reports how to"
            )
    return library


def reading(memories: Sequence[Memory], letters: Rows, out: RowFeatures) -> Callable[[], None]:
    """Return a function that appends rows of letters to memories and writes their features.

    It may be called again with other letters in the same place.

    Parameters
    ----------
    memories
        Those of a batch, at least one, with the same rules.
    letters
        Numbers of letters, as in `ops.memory`, one row for each memory.
    out
        Where the features after each letter are written.
    """
    native = [memory for memory in memories if isinstance(memory, NativeMemory)]
    if len(native) == len(memories):
        return NativeMemory.reading(native, letters, out)

    def read() -> None:
        for memory, row, features in zip(memories, letters, out, strict=True):
            features[:] = memory.read(row)

    return read


def why_memory_not_compiled() -> str | None:
    """Return why the memory cannot be compiled on this computer, None if it can."""
    library, why_not = memory_library()
    return why_not if library is None else None


def describe_memory() -> str:
    """Describe the code of the memory, and the reason."""
    why_not = why_memory_not_compiled()
    return f"in Python, not compiled: {why_not}" if why_not else "compiled by gcc"


@cache
def _native_memory() -> MemoryLibrary | None:
    """Return the compiled memory; warn once if it cannot be compiled."""
    library, why_not = memory_library()
    if library is None:
        _log.warning(
            "the memory is computed in Python, hundreds of times slower than in C: %s", why_not
        )
    return library


@cache
def memory_library() -> tuple[MemoryLibrary | None, str]:
    """Return the memory in C; or None, and why it cannot be compiled."""
    library, why_not = compile_here(MEMORY_SOURCES)
    if library is None:
        return None, why_not
    try:
        return MemoryLibrary(library), ""
    except OSError as error:  # as in `_compiled`
        return None, str(error)


def mixer_for(
    steps: Steps,
    like: Float[Tensor, "batch d_model length"],
    n_channels: int,
    *,
    n_filters: int,
    dtype: torch.dtype,
) -> Mixer:
    """Return the fastest mixer for the channels of an operator, for inference.

    Parameters
    ----------
    steps
        The result of `steps_for`.
    like
        Tensor of the batch, d_model, length, device and dtype of the arithmetic.
    n_channels
        Channels whose streams are held at once.
    n_filters
        1 if filters are passed as taps, 0 if as spectra.
    dtype
        Dtype of the streams.
    """
    _, d_model, length = like.shape
    if isinstance(steps, NativeSteps) and dtype is torch.float32:
        has_room = mixer_bytes(length, n_signals=N_FORWARD) > 0
        if has_room and _fill_lanes(steps, d_model, n_channels):
            return steps.mixer(length)
    return _workspace(like[:, :1], n_channels, n_filters=n_filters)


def _fill_lanes(steps: NativeSteps, *n_channels: int) -> bool:
    """Return whether channels fill whole vectors of the CPU."""
    return all(n % steps.n_lanes == 0 for n in n_channels)


def _workspace(
    streams: Tensor, n_channels: int, *, n_filters: int = 1, keep: bool = False
) -> Workspace:
    """Return a mixer by torch operations, with the fastest transform."""
    wide = torch.promote_types(streams.dtype, torch.float32)
    transform = transform_for(streams.shape[2], streams.new_empty(0, dtype=wide))
    return Workspace(streams, n_channels, transform, n_filters=n_filters, reuse_spectra=not keep)


def transform_for(length: int, like: Tensor) -> Transform:
    """Return the fastest transform for signals of a length, on the device and dtype of `like`."""
    if like.device.type == "cpu" and 2 * length - 1 >= _SPLIT_FROM:
        return SplitTransform(length, like)
    return Transform(length)


def why_no_kernels(like: Tensor) -> str | None:
    """Return why the kernels cannot process a tensor like this one, or None if they can."""
    if find_spec("triton") is None:
        return "triton is not installed"
    if like.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return f"the model is on {like.device.type}; the kernels need a CUDA device"
    if like.dtype is torch.float64:
        return "the kernels compute in float32, and the model is float64"
    return None


def gated_conv(
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
    *,
    engine: str,
) -> Float[Tensor, "batch channel length"]:
    """Compute `gated_conv.gated_conv`, whose parameters these are, differentiably.

    Parameters
    ----------
    engine
        ``"triton"`` for the kernels of a GPU; any other name for the fastest steps on this device.
    """
    if engine != "triton":
        return gated_conv_by(steps_for(streams), streams, short, h, d, mask)
    from megabase.ops.triton import gates

    return gates.gated_conv(streams, short, h, d, mask)


def gated_conv_by(
    steps: Steps,
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> Float[Tensor, "batch channel length"]:
    """Compute `gated_conv.gated_conv` by the mixer of `steps`, if sizes and dtypes allow one."""
    if isinstance(steps, NativeSteps):
        (n_channels, length), narrow = h.shape, {torch.float32}
        has_room = mixer_bytes(length, n_signals=N_BACKWARD) > 0
        is_narrow = {t.dtype for t in (streams, *short, h, d)} == narrow
        if is_narrow and has_room and _fill_lanes(steps, n_channels):
            streams, short = streams.contiguous(), ShortFilter(*(t.contiguous() for t in short))
            return mixed_in_chunks(streams, short, h, d, mask, make_mixer=partial(_native, steps))
    return mixed_in_chunks(streams, short, h, d, mask, make_mixer=_kept_workspace)


def _native(steps: NativeSteps, streams: Tensor, n_channels: int, keep: bool) -> Mixer:
    return steps.mixer(streams.shape[2])


def _kept_workspace(streams: Tensor, n_channels: int, keep: bool) -> Mixer:
    return _workspace(streams, n_channels, keep=keep)


def add_norm(
    r: Float[Tensor, "batch length d_model"],
    y: Float[Tensor, "batch length d_model"],
    weight: Float[Tensor, " d_model"],
    bias: Float[Tensor, " d_model"],
    eps: float,
) -> tuple[Float[Tensor, "batch length d_model"], Float[Tensor, "batch length d_model"]]:
    """Add `y` to the residual stream `r`; return the sum and its layer norm, by a Triton kernel.

    Parameters
    ----------
    r, y
        The residual stream in float32, and what a branch adds to it.
    weight, bias, eps
        As in `torch.nn.functional.layer_norm`.
    """
    from megabase.ops.triton import norm

    total, normed = norm.add_norm(r.flatten(0, 1), y.flatten(0, 1), weight, bias, eps)
    return total.view_as(r), normed.view_as(r)


_BACKENDS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "reference": definition.causal_conv,
    "torch_fft": fft.causal_conv,
}


def long_conv(
    u: Float[Tensor, "batch channel length"],
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    *,
    backend: str = "torch_fft",
) -> Float[Tensor, "batch channel length"]:
    """Compute `definition.causal_conv` by the named backend.

    Parameters
    ----------
    u
        Input sequence.
    h
        Filter taps; ``h[:, 0]`` weights the present token.
    d
        Skip weight, added to ``h[:, 0]``.
    backend
        ``"torch_fft"``: zero-padded FFT; ``"reference"``: the sum of the definition.

    Returns
    -------
    y
        Same shape and dtype as `u`.

    Raises
    ------
    ValueError
        If there is no such backend.
    """
    if backend not in _BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(_BACKENDS)}; got {backend!r}")
    return _BACKENDS[backend](u, h, d)
