r"""The mixing step of the operator in compiled code: `native_channels.c`, float32, on a CPU.

A causal convolution of real signals of length :math:`n` is computed from a weighted circular
convolution of only :math:`n` complex points, where a real FFT needs :math:`2n` real points:

.. math:: w = e^{i\pi/2n}, \quad \tilde x_j = w^j x_j, \quad
          \tilde y = \mathcal F^{-1}(\mathcal F \tilde x \cdot \mathcal F \tilde h)
          \;\Rightarrow\; w^{-j} \tilde y_j = y_j + i\,y_{n+j}
   :label: right-angle

Terms that wrap around are multiplied by :math:`w^n = i`, so that :math:`y` is the real part. One
channel occupies one lane of a CPU vector, so that all lanes are transformed at once without a
shuffle. Spectra are never reordered: the inverse transform undoes the order of the forward one.

Source: the right-angle convolution of Crandall & Fagin 1994, "Discrete weighted transforms and
large-integer arithmetic", doi:10.1090/S0025-5718-1994-1185244-1.
"""

import ctypes
import math
from collections.abc import Iterator, Mapping
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p
from functools import lru_cache
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from megabase.ops.gated_conv import Convolved, Part, ShortFilter

_AT_ONCE = 64  # channels in a chunk, so that copies of a chunk stay small
_MOST_BYTES = 512 << 20  # limit for the signals of all threads
MOST_LANES = 16
"""Lanes (channels) of the widest supported vector."""

N_FORWARD, N_BACKWARD = 2, 4
"""Signals (each in all lanes) that a thread holds in the forward and the backward pass."""


def mixer_bytes(length: int, *, n_signals: int = N_FORWARD) -> int:
    """Return an upper bound of a mixer's working memory in bytes, 0 if it exceeds the limit.

    Parameters
    ----------
    length
        Tokens of a sequence.
    n_signals
        `N_FORWARD` for inference, `N_BACKWARD` if gradients are computed.
    """
    n_bytes = torch.get_num_threads() * n_signals * 2 * MOST_LANES * n_points(length) * 4
    return n_bytes if n_bytes <= _MOST_BYTES else 0


def n_points(length: int) -> int:
    """Return the number of complex points of the transform: the next power of two."""
    return 1 << (length - 1).bit_length()


class _ChannelRows(ctypes.Structure):
    """A tensor (batch, channel, length): its address and the strides of batch and channel."""

    _fields_ = (("start", c_void_p), ("batch", c_int64), ("channel", c_int64))


class _Filter(ctypes.Structure):
    """A `ShortFilter`."""

    _fields_ = (
        ("taps", c_void_p), ("bias", c_void_p), ("edge", c_void_p), ("n_taps", c_int64),
    )  # fmt: skip


class _Mixing(ctypes.Structure):
    """Everything that the C code reads and writes."""

    _fields_ = (
        *((name, _ChannelRows) for name in ("out", "last", "first", "value")),
        *((name, _Filter) for name in ("last_filter", "first_filter", "value_filter")),
        *((name, c_void_p) for name in ("mask", "taps", "spectra", "twiddles", "twist", "scratch")),
        *(
            (name, c_int64)
            for name in (
                "batch",
                "n_channels",
                "length",
                "n",
                "n_taps_apart",
                "n_threads",
            )
        ),
    )


class _FilterGradient(ctypes.Structure):
    """Where to write the gradients of a `ShortFilter`."""

    _fields_ = (("taps", c_void_p), ("bias", c_void_p), ("edge", c_void_p))


class _Gradient(ctypes.Structure):
    """The inputs of the forward pass, the gradient of its output, and where to write the others."""

    _fields_ = (
        ("of", _Mixing),
        *((name, _ChannelRows) for name in ("d_out", "d_last", "d_first", "d_value")),
        *(
            (name, _FilterGradient)
            for name in ("d_last_filter", "d_first_filter", "d_value_filter")
        ),
        ("d_long", c_void_p),
    )


_STRUCTURES: dict[str, type[ctypes.Structure]] = {
    "rows": _ChannelRows,
    "filter": _Filter,
    "mixing": _Mixing,
    "filter_gradient": _FilterGradient,
    "gradient": _Gradient,
}
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "n_lanes": (c_int, ()),
    "n_places": (c_int64, ()),
    "name_of_place": (c_char_p, (c_int64,)),
    "place_of": (c_int64, (c_int64,)),
    "spectra_of_channels": (None, (POINTER(_Mixing),)),
    "mix_channels": (None, (POINTER(_Mixing),)),
    "mix_channels_backward": (None, (POINTER(_Gradient),)),
}


def declare(library: ctypes.CDLL, functions: Mapping[str, tuple[Any, tuple[Any, ...]]]) -> None:
    """Declare return and argument types of C functions to ctypes.

    Parameters
    ----------
    library
        The loaded library.
    functions
        By name: the return type, and the types of the arguments.

    Raises
    ------
    OSError
        If a function is missing from the library.
    """
    for name, (returned, taken) in functions.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise OSError(f"the compiled library lacks {name}") from error
        function.restype, function.argtypes = returned, taken


def check_layout(library: ctypes.CDLL) -> None:
    """Declare the mixing functions, and compare their structures with those of this file.

    Parameters
    ----------
    library
        The loaded library.

    Raises
    ------
    OSError
        If a field has another offset in C, or a structure another size.
    """
    declare(library, _FUNCTIONS)
    there = {
        library.name_of_place(i).decode(): library.place_of(i) for i in range(library.n_places())
    }
    here = dict(_layout())
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise OSError(
                f"the layout of {name} is {there.get(name)} bytes in C, {here.get(name)} in Python"
            )


def _layout() -> Iterator[tuple[str, int]]:
    """Yield the offset of each field, and the size of each structure, in bytes."""
    for name, structure in _STRUCTURES.items():
        yield name, ctypes.sizeof(structure)
        for field in structure._fields_:
            yield f"{name}.{field[0]}", getattr(structure, field[0]).offset


class NativeMixer:
    """A `gated_conv.Mixer` in C, which mixes one channel in each lane of a CPU vector.

    Parameters
    ----------
    library
        The compiled library, checked by `check_layout`.
    length
        Tokens of a sequence.

    Attributes
    ----------
    layout
        Memory layout of spectra: the lanes of a vector interleaved, points in the order of the
        transform.
    """

    def __init__(self, library: ctypes.CDLL, length: int) -> None:
        n_lanes = library.n_lanes()
        self._library, self._length, self._n = library, length, n_points(length)
        self.layout = f"{n_lanes} lanes"
        self._twiddles, self._twist = _tables(self._n)
        # Read once: memory is sized for it, and another Python thread may have another number.
        self._n_threads = torch.get_num_threads()
        self._signal = self._n_threads * 2 * n_lanes * self._n
        self._scratch = self._twist.new_empty(0)

    def chunks(self, n_channels: int) -> Iterator[slice]:
        """Divide channels into chunks, each large enough to keep every thread busy."""
        at_once = max(_AT_ONCE, 2 * MOST_LANES * self._n_threads)
        for start in range(0, n_channels, at_once):
            yield slice(start, min(start + at_once, n_channels))

    def spectra_of(
        self, taps: Float[Tensor, "channel length"]
    ) -> Float[Tensor, "channel two_points"]:
        """Transform long filters, as `gated_conv.Mixer.spectra_of`."""
        spectra = taps.new_empty(len(taps), 2 * self._n)
        task = self._task(taps)
        task.scratch = pointer(spectra)
        self._library.spectra_of_channels(ctypes.byref(task))
        return spectra

    def mix(
        self,
        parts: list[Part],
        mask: Bool[Tensor, "batch 1 length"] | None,
        long: Float[Tensor, "channel taps_or_two_points"],
        *,
        out: Float[Tensor, "batch channel length"],
        keep: bool = False,
    ) -> None:
        """Write the operator's output, as `gated_conv.Mixer.mix`; `keep` has no effect."""
        mask = None if mask is None else mask.contiguous()  # the name keeps it alive for C
        task = self._whole_task(parts, mask, long)
        task.out, task.scratch = _rows(out), self._scratch_for(N_FORWARD)
        self._library.mix_channels(ctypes.byref(task))

    def mix_backward(
        self,
        dy: Float[Tensor, "batch channel length"],
        parts: list[Part],
        d_parts: list[Part],
        mask: Bool[Tensor, "batch 1 length"] | None,
        given: Float[Tensor, "channel length"] | Convolved,
    ) -> Float[Tensor, "channel length"]:
        """Compute gradients, as `gated_conv.Mixer.mix_backward`; `given` must be the taps."""
        taps, dy = cast("Tensor", given), dy.contiguous()
        mask = None if mask is None else mask.contiguous()  # the name keeps it alive for C
        task = _Gradient(self._whole_task(parts, mask, taps), _rows(dy))
        task.of.scratch = self._scratch_for(N_BACKWARD)
        task.d_last, task.d_first, task.d_value = (_rows(part.stream) for part in d_parts)
        task.d_last_filter, task.d_first_filter, task.d_value_filter = (
            _FilterGradient(*map(pointer, (t.zero_() for t in part.short))) for part in d_parts
        )
        d_taps = torch.empty_like(taps)
        task.d_long = pointer(d_taps)
        self._library.mix_channels_backward(ctypes.byref(task))
        return d_taps

    def _scratch_for(self, n_signals: int) -> int:
        """Return the address of working memory for `n_signals` signals in each thread."""
        if self._scratch.numel() < n_signals * self._signal:
            self._scratch = self._scratch.new_empty(n_signals * self._signal)
        return pointer(self._scratch)

    def _whole_task(self, parts: list[Part], mask: Tensor | None, long: Tensor) -> _Mixing:
        """Describe all inputs; the caller sets where the output goes."""
        task = self._task(long)
        task.batch = len(parts[0].stream)
        task.last, task.first, task.value = (_rows(part.stream) for part in parts)
        task.last_filter, task.first_filter, task.value_filter = (
            _filter(part.short) for part in parts
        )
        if mask is not None:
            task.mask = mask.data_ptr()
        return task

    def _task(self, long: Tensor) -> _Mixing:
        """Describe what does not depend on the streams; `long` holds taps or spectra."""
        task = _Mixing(
            n_channels=len(long), length=self._length, n=self._n, n_threads=self._n_threads
        )
        task.twiddles, task.twist = pointer(self._twiddles), pointer(self._twist)
        if long.shape[1] == self._length:
            task.taps, task.n_taps_apart = _start(long), long.stride(0)
        else:
            task.spectra = pointer(long)
        return task


@lru_cache(maxsize=4)
def _tables(n: int) -> tuple[Tensor, Tensor]:
    """Return the twiddle factors and the twist of a transform of n points, float32.

    Twiddles are w^j, w^2j, w^3j for each level of the radix-4 transform, the longest level first;
    the twist is exp(i pi j / 2n).
    """
    on_cpu: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
    levels, points = [torch.empty(0, **on_cpu)], n
    while points >= 4:
        turns = torch.outer(torch.arange(points // 4, **on_cpu), torch.arange(1, 4, **on_cpu))
        levels.append(_cos_and_sin(-2 * math.pi / points * turns).flatten())
        points //= 4
    twist = _cos_and_sin(math.pi / (2 * n) * torch.arange(n, **on_cpu))
    return torch.cat(levels).float(), twist.float()


def _cos_and_sin(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def pointer(t: Tensor) -> int:
    """Return the address of a contiguous float32 tensor, for C.

    Raises
    ------
    TypeError
        If the tensor is not float32, or not contiguous.
    """
    if not t.is_contiguous():
        raise TypeError(
            f"compiled steps need contiguous tensors; got shape {tuple(t.shape)} with strides "
            f"{t.stride()}"
        )
    return _start(t)


def _start(t: Tensor) -> int:
    if t.dtype is not torch.float32 or (t.stride(-1) != 1 and t.shape[-1] > 1):
        raise TypeError(
            "compiled steps need float32 tensors whose last dimension is contiguous; got "
            f"{t.dtype} with strides {t.stride()}"
        )
    return t.data_ptr()


def _rows(t: Tensor) -> _ChannelRows:
    return _ChannelRows(_start(t), t.stride(0), t.stride(1))


def _filter(short: ShortFilter) -> _Filter:
    return _Filter(*map(pointer, short), short.taps.shape[1])
