"""The steps between matrix products in compiled code: `native_tokens.c`, float32, on a CPU."""

import ctypes
from ctypes import c_float, c_int64, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from megabase.ops.folding import CUBIC
from megabase.ops.gated_conv import Mixer, gated_conv
from megabase.ops.native_mixer import (
    N_BACKWARD,
    N_FORWARD,
    NativeMixer,
    check_layout,
    declare,
    mixer_bytes,
    pointer,
)
from megabase.ops.short_conv import ShortFilter
from megabase.ops.steps import Steps

SOURCES = tuple(
    Path(__file__).with_name(name)
    for name in (
        "native_tokens.c",
        "native_channels.c",
        "native_gradient.c",
        "native_signals.h",
        "native.h",
    )
)
"""The C sources that are compiled together, and their headers."""


_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "read_tokens": (None, (*[c_void_p] * 4, c_int64, c_int64)),
    "norm_tokens": (None, (*[c_void_p] * 2, c_int64, c_int64, c_float)),
    "gelu_tokens": (None, (*[c_void_p] * 2, c_int64, c_int64, c_float)),
    "write_tokens": (None, (*[c_void_p] * 5, c_int64, c_int64, c_float)),
}


class NativeSteps(Steps):
    """`Steps` in compiled code. All tensors must be float32 and contiguous.

    Parameters
    ----------
    library
        Path of the shared library compiled from `SOURCES`.

    Raises
    ------
    OSError
        If the library cannot be loaded, or its functions or structures differ from those expected.
    """

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        check_layout(self._library)
        declare(self._library, _FUNCTIONS)

    def read(self, normed: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """Undo a norm and add a bias, as `Steps.read`."""
        r = torch.empty_like(normed)
        self._library.read_tokens(*_pointers(r, normed, scale, bias), *_sizes(r))
        return r

    def norm(self, r: Tensor, eps: float) -> Tensor:
        """Normalise over channels, as `Steps.norm`."""
        u = torch.empty_like(r)
        self._library.norm_tokens(*_pointers(u, r), *_sizes(r), c_float(eps))
        return u

    def gelu(self, x: Tensor, bias: Tensor) -> Tensor:
        """Apply the GELU in place, as `Steps.gelu`."""
        self._library.gelu_tokens(*_pointers(x, bias), *_sizes(x), c_float(CUBIC))
        return x

    def write(
        self, r: Tensor, bias: Tensor, eps: float, *, normed: Tensor, scale: Tensor, mean: Tensor
    ) -> None:
        """Normalise and write, as `Steps.write`."""
        pointers = _pointers(normed, scale, mean, r, bias)
        self._library.write_tokens(*pointers, *_sizes(r), c_float(eps))

    def mixer(self, like: Tensor, n_channels: int, *, n_filters: int, dtype: torch.dtype) -> Mixer:
        """Return a `NativeMixer` if sizes and dtype allow one, otherwise as `Steps.mixer`."""
        _, d_model, length = like.shape
        if self._can_mix(N_FORWARD, length, dtype, d_model, n_channels):
            return NativeMixer(self._library, length)
        return super().mixer(like, n_channels, n_filters=n_filters, dtype=dtype)

    def gated_conv(
        self, streams: Tensor, short: ShortFilter, h: Tensor, d: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Mix differentiably, as `Steps.gated_conv`; compiled if sizes and dtypes allow it."""
        n_channels, length = h.shape
        is_narrow = {t.dtype for t in (*short, h, d)} == {torch.float32}
        if is_narrow and self._can_mix(N_BACKWARD, length, streams.dtype, n_channels):
            streams, short = streams.contiguous(), ShortFilter(*(t.contiguous() for t in short))
            return gated_conv(streams, short, h, d, mask, make_mixer=self._make_mixer)
        return super().gated_conv(streams, short, h, d, mask)

    def _make_mixer(self, streams: Tensor, n_channels: int, keep: bool) -> Mixer:
        return NativeMixer(self._library, streams.shape[2])

    def _can_mix(self, n_signals: int, length: int, dtype: torch.dtype, *n_channels: int) -> bool:
        """Return whether channels fill whole vectors of float32 and fit in memory."""
        n_lanes = self._library.n_lanes()
        is_whole = all(n % n_lanes == 0 for n in n_channels)
        return is_whole and dtype is torch.float32 and mixer_bytes(length, n_signals=n_signals) > 0


def _pointers(*tensors: Tensor) -> list[c_void_p]:
    return [c_void_p(pointer(t)) for t in tensors]


def _sizes(x: Tensor) -> tuple[c_int64, c_int64]:
    return c_int64(x.shape[0]), c_int64(x.shape[1])
