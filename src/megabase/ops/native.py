"""The steps between the products of a layer, compiled: `native_tokens.c`, in float32, on a CPU."""

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_int64, c_void_p
from pathlib import Path

import torch
from torch import Tensor

from megabase.ops import native_conv
from megabase.ops.gated_conv import Mixer, ShortFilter
from megabase.ops.native_mixer import NativeMixer, mixer_bytes, pointer
from megabase.ops.steps import CUBIC, Steps

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
"""What is compiled."""


class NativeSteps(Steps):
    """The steps, compiled. Tensors are float32 and contiguous.

    Parameters
    ----------
    library
        What the compiler made of `SOURCES`.
    """

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def read(self, normed: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """Undo a norm, as `Steps.read`."""
        r = torch.empty_like(normed)
        self._library.read_tokens(*_pointers(r, normed, scale, bias), *_sizes(r))
        return r

    def norm(self, r: Tensor, eps: float) -> Tensor:
        """Norm, as `Steps.norm`."""
        u = torch.empty_like(r)
        self._library.norm_tokens(*_pointers(u, r), *_sizes(r), c_float(eps))
        return u

    def gelu(self, x: Tensor, bias: Tensor) -> Tensor:
        """Give the GELU, as `Steps.gelu`."""
        self._library.gelu_tokens(*_pointers(x, bias), *_sizes(x), c_float(CUBIC))
        return x

    def write(
        self, r: Tensor, bias: Tensor, eps: float, *, normed: Tensor, scale: Tensor, mean: Tensor
    ) -> None:
        """Norm and write, as `Steps.write`."""
        pointers = _pointers(normed, scale, mean, r, bias)
        self._library.write_tokens(*pointers, *_sizes(r), c_float(eps))

    def mixer(self, like: Tensor, n_channels: int, *, n_filters: int, dtype: torch.dtype) -> Mixer:
        """Give what mixes, as `Steps.mixer`: compiled for whole vectors of float32 channels."""
        if native := self._native_mixer(like.shape, n_channels, dtype):
            return native
        return super().mixer(like, n_channels, n_filters=n_filters, dtype=dtype)

    def gated_conv(
        self, streams: Tensor, short: ShortFilter, h: Tensor, d: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Mix with a gradient, as `Steps.gated_conv`."""
        native = self._native_mixer((len(streams), *h.shape), len(h), streams.dtype)
        if native and {t.dtype for t in (*short, h, d)} == {torch.float32}:
            return native_conv.gated_conv(native, streams, short, h, d, mask)
        return super().gated_conv(streams, short, h, d, mask)

    def _native_mixer(
        self, shape: Sequence[int], n_channels: int, dtype: torch.dtype
    ) -> NativeMixer | None:
        """Give a mixer for (batch, channel, length), if there is one."""
        _, d_model, length = shape
        n_lanes = self._library.n_lanes()
        is_whole = d_model % n_lanes == 0 and n_channels % n_lanes == 0
        if is_whole and dtype is torch.float32 and mixer_bytes(length):
            return NativeMixer(self._library, length, n_lanes)
        return None


def _pointers(*tensors: Tensor) -> list[c_void_p]:
    return [c_void_p(pointer(t)) for t in tensors]


def _sizes(x: Tensor) -> tuple[c_int64, c_int64]:
    return c_int64(x.shape[0]), c_int64(x.shape[1])
