r"""The causal long convolution by Fourier transforms.

Up to half a million points the real FFT of torch is fastest. A longer one does not fit the
caches of a CPU, and is split: with the index of the signal as :math:`j = m j_1 + j_2` and
that of the spectrum as :math:`k = k_1 + R k_2`,

.. math:: X_k = \sum_{j_2} W_m^{j_2 k_2}\; W_n^{j_2 k_1} \sum_{j_1} W_R^{j_1 k_1} x_j,
          \qquad W_n = e^{-2\pi i/n}
   :label: split-transform

The inner sum is a matrix product, whose second half is left out because the signal is zero
there; the outer sum is an FFT of m points. The spectrum is not reordered: element-wise products
do not depend on its order.

Source: Bailey 1990, "FFTs in external or hierarchical memory", doi:10.1007/BF00162341.
"""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from megabase.ops.tracing import static_size

_RADIX = 32
_LONGER = 1.07  # a power of two is fastest up to this ratio to the requested length


def fft_length(least: int) -> int:
    """Return an even length of at least `least` points at which an FFT is fast.

    It is the next power of two if that is at most 7 % longer, otherwise the next even
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
    """The transform of a zero-padded real signal and its inverse, by torch's real FFT.

    Parameters
    ----------
    length
        Length of a signal.

    Attributes
    ----------
    n
        Points of the transform, enough that two signals convolve without wrapping around.
    n_in, n_out
        Numbers that `forward` reads, zero after the signal; and complex numbers of a spectrum.
    """

    def __init__(self, length: int) -> None:
        self.n = fft_length(2 * length - 1)
        self.n_in, self.n_out = self.n, self.n // 2 + 1

    def spectra_buffer(self, *rows: int) -> Complex[Tensor, "*rows n_out"] | None:
        """Return a buffer for spectra if `forward` is faster with one, otherwise None."""
        return None

    def forward(
        self, x: Float[Tensor, "*rows n_in"], out: Tensor | None = None
    ) -> Complex[Tensor, "*rows n_out"]:
        """Return the spectra of zero-padded signals, in `out` if `spectra_buffer` returned it."""
        return torch.fft.rfft(x)

    def inverse(self, spectra: Complex[Tensor, "*rows n_out"]) -> Float[Tensor, "*rows n_back"]:
        """Return signals; the numbers after `length` have no meaning."""
        return torch.fft.irfft(spectra, n=self.n)


class SplitTransform(Transform):
    """`Transform` by Eq. split-transform, one row at a time; `n_in` is half of the points.

    Parameters
    ----------
    length
        Length of a signal.
    like
        A tensor of the device and dtype of the signals.
    """

    def __init__(self, length: int, like: Tensor) -> None:
        self.m = fft_length(-(-(2 * length - 1) // _RADIX))
        self.n = _RADIX * self.m
        self.n_in, self.n_out = self.n // 2, (_RADIX // 2 + 1) * self.m
        k = torch.arange(_RADIX // 2 + 1, dtype=torch.float64)[:, None]
        inner = -2 * math.pi / _RADIX * k * torch.arange(_RADIX // 2)
        # Signals are real, so only k₁ from 0 to R / 2 is computed; on the way back every k₁ but
        # the first and the last also counts for its mirror image R - k₁.
        weight = torch.full_like(k, 2 / _RADIX)
        weight[0] = weight[-1] = 1 / _RADIX
        self._into = torch.cat([inner.cos(), inner.sin()]).to(like)
        self._back = torch.cat([weight * inner.cos(), weight * inner.sin()]).t().to(like)
        twiddle = -2 * math.pi / self.n * k * torch.arange(self.m)
        self._twiddle = torch.complex(twiddle.cos().to(like), twiddle.sin().to(like))
        self._untwiddle = self._twiddle.conj().resolve_conj()
        # Reused, because the system clears newly allocated memory, which takes as long as the FFT.
        self._inner = like.new_empty(2 * len(k), self.m)
        self._combined = torch.empty_like(self._twiddle)

    def spectra_buffer(self, *rows: int) -> Complex[Tensor, "*rows n_out"]:
        """Return a buffer for spectra."""
        return self._twiddle.new_empty(*rows, self.n_out)

    def forward(
        self, x: Float[Tensor, "*rows n_in"], out: Tensor | None = None
    ) -> Complex[Tensor, "*rows n_out"]:
        """Return the spectra of signals of `n_in` numbers, in `out` if it is given."""
        spectra = self.spectra_buffer(*x.shape[:-1]) if out is None else out
        for signal, spectrum in zip(x.flatten(0, -2), spectra.flatten(0, -2), strict=True):
            # Cosines and sines are stacked, so one real product gives real and imaginary parts.
            torch.mm(self._into, signal.view(-1, self.m), out=self._inner)
            torch.complex(*self._inner.chunk(2), out=self._combined)
            spectrum.view(-1, self.m).copy_(torch.fft.fft(self._combined.mul_(self._twiddle)))
        return spectra

    def inverse(self, spectra: Complex[Tensor, "*rows n_out"]) -> Float[Tensor, "*rows n_back"]:
        """Return signals; the numbers after `length` have no meaning."""
        signals = self._into.new_empty(*spectra.shape[:-1], self.n_in)
        for spectrum, signal in zip(spectra.flatten(0, -2), signals.flatten(0, -2), strict=True):
            outer = torch.fft.ifft(spectrum.view(-1, self.m)).mul_(self._untwiddle)
            torch.cat([outer.real, outer.imag], out=self._inner)
            torch.mm(self._back, self._inner, out=signal.view(-1, self.m))
        return signals


def causal_conv(
    u: Float[Tensor, "batch channel length"],
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
) -> Float[Tensor, "batch channel length"]:
    """Compute `definition.causal_conv`, whose parameters these are, in O(length log length).

    Both signals are zero-padded to `fft_length`, so that the circular convolution of the
    FFT cannot wrap around. The transform runs in float32 or wider, even under autocast:
    CPUs have no half-precision FFT, and half precision loses the tail of long filters.
    """
    length = static_size(u, -1)
    n = fft_length(2 * length - 1)
    wide = torch.promote_types(u.dtype, torch.float32)
    with torch.autocast(u.device.type, enabled=False):
        u_f = torch.fft.rfft(u.to(wide), n=n)
        h_f = torch.fft.rfft(h.to(wide), n=n)
        y = torch.fft.irfft(u_f * h_f, n=n)[..., :length]
        return (y + d.to(wide)[:, None] * u).to(u.dtype)
