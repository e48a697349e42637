r"""The Fourier transforms in which long convolutions are products.

Up to half a million points a library's real FFT is the fastest. A longer one no longer fits
the caches of a CPU, and is split: with the index of the signal as :math:`j = m j_1 + j_2` and
that of the spectrum as :math:`k = k_1 + R k_2`,

.. math:: X_k = \sum_{j_2} W_m^{j_2 k_2}\; W_n^{j_2 k_1} \sum_{j_1} W_R^{j_1 k_1} x_j,
          \qquad W_n = e^{-2\pi i/n}
   :label: split-transform

The inner sum is a matrix product, without its half for the zeros that follow the signal; the
outer one is an FFT of m points. To a product the order of the spectrum does not matter.

Source: Bailey 1990, "FFTs in external or hierarchical memory", doi:10.1007/BF00162341.
"""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

_SPLIT_FROM = 1 << 19  # points
_RADIX = 32
_LONGER = 1.07  # how much longer a power of two may be and still be the fastest


def fft_length(least: int) -> int:
    """Give an even length from `least` up at which an FFT is fast.

    It is the next power of two where that is at most 7 % longer, otherwise the next even
    number without a prime factor above 5.

    Examples
    --------
    >>> [fft_length(least) for least in (1, 2000, 2049, 199_999)]
    [2, 2048, 2160, 200000]
    """
    power = 1 << (int(least) - 1).bit_length()
    if 2 <= power <= _LONGER * least:
        return power
    n = least + least % 2
    while not _has_only_small_factors(n):
        n += 2
    return n


def _has_only_small_factors(n: int) -> bool:
    for prime in (2, 3, 5):
        while n % prime == 0:
            n //= prime
    return n == 1


class Transform:
    """The spectrum of a real signal that zeros follow, and back, by a library's FFT.

    Parameters
    ----------
    length
        Numbers of a signal.

    Attributes
    ----------
    n
        Points: room for a signal's convolution with another of its length.
    n_in, n_out
        Numbers that `forward` reads, zero after the signal, and complex numbers of a spectrum.
    """

    def __init__(self, length: int) -> None:
        self.n = fft_length(2 * length - 1)
        self.n_in, self.n_out = self.n, self.n // 2 + 1

    def room(self, *rows: int) -> Complex[Tensor, "*rows n_out"] | None:
        """Give memory for spectra where `forward` is faster with it."""
        return None

    def forward(
        self, x: Float[Tensor, "*rows n_in"], out: Tensor | None = None
    ) -> Complex[Tensor, "*rows n_out"]:
        """Give spectra, in `out` if `room` gave it."""
        return torch.fft.rfft(x)

    def inverse(self, spectra: Complex[Tensor, "*rows n_out"]) -> Float[Tensor, "*rows n_back"]:
        """Give signals, and what comes after them."""
        return torch.fft.irfft(spectra, n=self.n)


class SplitTransform(Transform):
    """The same by Eq. split-transform, a row at a time.

    Parameters
    ----------
    length
        Numbers of a signal.
    like
        A tensor of the device and dtype of the signals.
    """

    def __init__(self, length: int, like: Tensor) -> None:
        self.m = fft_length(-(-(2 * length - 1) // _RADIX))
        self.n = _RADIX * self.m
        self.n_in, self.n_out = self.n // 2, (_RADIX // 2 + 1) * self.m
        k = torch.arange(_RADIX // 2 + 1, dtype=torch.float64)[:, None]
        inner = -2 * math.pi / _RADIX * k * torch.arange(_RADIX // 2)
        # Every k₁ but the first and the last stands for its mirror image, too.
        weight = torch.full_like(k, 2 / _RADIX)
        weight[0] = weight[-1] = 1 / _RADIX
        self._into = torch.cat([inner.cos(), inner.sin()]).to(like)
        self._back = torch.cat([weight * inner.cos(), weight * inner.sin()]).t().to(like)
        twiddle = -2 * math.pi / self.n * k * torch.arange(self.m)
        self._twiddle = torch.complex(twiddle.cos().to(like), twiddle.sin().to(like))
        self._untwiddle = self._twiddle.conj().resolve_conj()
        # Memory that is taken anew the system clears first, at the cost of the FFT itself.
        self._inner = like.new_empty(2 * len(k), self.m)
        self._combined = torch.empty_like(self._twiddle)

    def room(self, *rows: int) -> Complex[Tensor, "*rows n_out"]:
        """Give memory for spectra."""
        return self._twiddle.new_empty(*rows, self.n_out)

    def forward(
        self, x: Float[Tensor, "*rows n_in"], out: Tensor | None = None
    ) -> Complex[Tensor, "*rows n_out"]:
        """Give spectra, in `out` if it is there."""
        spectra = self.room(*x.shape[:-1]) if out is None else out
        for signal, spectrum in zip(x.flatten(0, -2), spectra.flatten(0, -2), strict=True):
            torch.mm(self._into, signal.view(-1, self.m), out=self._inner)
            torch.complex(*self._inner.chunk(2), out=self._combined)
            spectrum.view(-1, self.m).copy_(torch.fft.fft(self._combined.mul_(self._twiddle)))
        return spectra

    def inverse(self, spectra: Complex[Tensor, "*rows n_out"]) -> Float[Tensor, "*rows n_back"]:
        """Give signals, and what comes after them."""
        signals = self._into.new_empty(*spectra.shape[:-1], self.n_in)
        for spectrum, signal in zip(spectra.flatten(0, -2), signals.flatten(0, -2), strict=True):
            outer = torch.fft.ifft(spectrum.view(-1, self.m)).mul_(self._untwiddle)
            torch.cat([outer.real, outer.imag], out=self._inner)
            torch.mm(self._back, self._inner, out=signal.view(-1, self.m))
        return signals


def make_transform(length: int, like: Tensor) -> Transform:
    """Choose the transform for signals of a length, on the device and in the dtype of `like`."""
    if like.device.type == "cpu" and 2 * length - 1 >= _SPLIT_FROM:
        return SplitTransform(length, like)
    return Transform(length)
