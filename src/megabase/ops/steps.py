r"""The steps between the matrix products of a layer, and linear maps into rows of channels.

`Steps` defines them by a few torch calls each; `NativeSteps` computes the same in one pass over the
memory, by the C code of `native_tokens.c`.

A linear map of tokens whose output has channels before tokens, without a transposing copy.

.. math:: s_{b,c,t} = \sum_d W_{c,d}\, u_{b,t,d}
   :label: into-channels

`torch.nn.functional.linear` puts channels last in its output, and the transpose after it puts
tokens last in the gradient of its input, so that later steps need strided access or a copy.
"""

import ctypes
from ctypes import c_float, c_int64, c_void_p
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from megabase.ops.folding import CUBIC
from megabase.ops.native_mixer import NativeMixer, check_layout, declare, pointer

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


class Steps:
    """The steps by torch operations. Norms have neither gain nor bias here."""

    def read(
        self,
        normed: Float[Tensor, "token d_model"],
        scale: Float[Tensor, "token 1"],
        bias: Float[Tensor, " d_model"],
    ) -> Float[Tensor, "token d_model"]:
        """Return normed * scale + bias: undo a norm except for its mean, and add a bias."""
        return torch.addcmul(bias, normed, scale)

    def norm(self, r: Float[Tensor, "token d_model"], eps: float) -> Float[Tensor, "token d_model"]:
        """Normalise each token over its channels; `eps` is added to the variance."""
        return functional.layer_norm(r, r.shape[-1:], eps=eps)

    def gelu(
        self, x: Float[Tensor, "token inner"], bias: Float[Tensor, " inner"]
    ) -> Float[Tensor, "token inner"]:
        """Replace x by a·gelu((x + bias) / a), a of `folding.scaled_for_gelu`, and return it."""
        x.add_(bias)
        cube = x * x
        torch.addcmul(x, x, cube, value=CUBIC, out=cube)
        return x.mul_(cube.sigmoid_())

    def write(
        self,
        r: Float[Tensor, "token d_model"],
        bias: Float[Tensor, " d_model"],
        eps: float,
        *,
        normed: Float[Tensor, "token d_model"],
        scale: Float[Tensor, "token 1"],
        mean: Float[Tensor, "token 1"],
    ) -> None:
        """Normalise r + bias, which overwrites r.

        Parameters
        ----------
        r, bias
            The tokens, and what is added to each.
        eps
            Added to the variance.
        normed, scale
            Receive the normalised tokens and their standard deviations.
        mean
            The mean of each token is added to it.
        """
        u, more, inverse = torch.native_layer_norm(r.add_(bias), r.shape[-1:], None, None, eps)
        normed.copy_(u)
        mean += more
        torch.reciprocal(inverse, out=scale)


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

    @property
    def n_lanes(self) -> int:
        """Channels that fill a vector of the CPU."""
        return self._library.n_lanes()

    def mixer(self, length: int) -> NativeMixer:
        """Return a compiled mixer; `backends.mixer_for` knows for which channels."""
        return NativeMixer(self._library, length)


def _pointers(*tensors: Tensor) -> list[c_void_p]:
    return [c_void_p(pointer(t)) for t in tensors]


def _sizes(x: Tensor) -> tuple[c_int64, c_int64]:
    return c_int64(x.shape[0]), c_int64(x.shape[1])


def into_channels(
    u: Float[Tensor, "batch length d_model"], weight: Float[Tensor, "channel d_model"]
) -> Float[Tensor, "batch channel length"]:
    """Compute Eq. into-channels; the output and the gradient of `u` are contiguous.

    Parameters
    ----------
    u
        Input, channels last.
    weight
        Weight of the map, as in `torch.nn.Linear`.
    """
    if torch.is_autocast_enabled(u.device.type):
        dtype = torch.get_autocast_dtype(u.device.type)
        u, weight = u.to(dtype), weight.to(dtype)
    return cast("Tensor", _IntoChannels.apply(u, weight))


class _IntoChannels(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        u: Tensor,
        weight: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(u, weight)
        return torch.bmm(weight.expand(len(u), -1, -1), u.mT)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        d_s: Tensor,
    ) -> tuple[Tensor, Tensor]:
        u, weight = ctx.saved_tensors
        d_u = torch.bmm(d_s.mT, weight.expand(len(u), -1, -1))
        if u.device.type != "cpu" or u.dtype.itemsize < torch.float32.itemsize:
            return d_u, torch.bmm(d_s, u).sum(0)
        # On a CPU, accumulating sequence by sequence is faster than a batched product and a sum.
        # Half precision is excluded above, because each partial sum would be rounded.
        d_weight = torch.zeros_like(weight)
        for d_row, row in zip(d_s, u, strict=True):
            d_weight.addmm_(d_row, row)
        return d_u, d_weight
