r"""The causal long convolution in one kernel, whose Fourier transforms are matrix products.

With the index of the signal as :math:`j = n_2 j_1 + j_2` and that of the spectrum as
:math:`k = k_1 + n_1 k_2`,

.. math:: X_k = \sum_{j_2} W_{n_2}^{j_2 k_2}\; W_n^{j_2 k_1} \sum_{j_1} W_{n_1}^{j_1 k_1} x_j,
          \qquad W_n = e^{-2\pi i/n}, \quad n = n_1 n_2

Both sums are matrix products, and the inverse is the same with conjugates. The spectrum stays
an (n₁, n₂) matrix over k₁ and k₂, and the spectrum of the filter is brought into that order
once. Rows of the input that hold only padding, and rows of the output that are discarded, are
not computed.

Source: Fu et al. 2023, "FlashFFTConv", arXiv:2311.05908v1, Section 3.1; and Bailey 1990, "FFTs
in external or hierarchical memory", doi:10.1007/BF00162341.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple, cast, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Float32
from torch import Tensor

from megabase.ops.gated_conv import refuse_second_derivative
from megabase.ops.triton_launch import launch

_LEAST, _MOST = 1 << 8, 1 << 16  # points of a transform; tl.dot needs at least 16 x 16 numbers
_TILES = {"ieee": 32, "tf32": 64}  # rows and columns of a tile; larger ones spill registers

# Triton compiles functions from their source, so a runtime type checker must not wrap them.


@triton.jit
@no_type_check
def _load(
    matrix: tl.tensor,
    row: tl.tensor,
    column: tl.tensor,
    WIDTH: tl.constexpr,
    PLANE: tl.constexpr,
) -> tl.tensor:
    """Load the real and the imaginary part of a tile of a matrix."""
    at = matrix + row[:, None] * WIDTH + column[None, :]
    return tl.load(at), tl.load(at + PLANE)


@triton.jit
@no_type_check
def _columns_forward(
    u: tl.tensor,
    token_stride: tl.tensor,
    length: tl.tensor,
    dft: tl.tensor,
    twiddle: tl.tensor,
    out: tl.tensor,
    N1: tl.constexpr,
    N2: tl.constexpr,
    TILE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """Transform the columns of a real signal whose second half is zero, and apply twiddles."""
    for tile in range((N1 // TILE) * (N2 // TILE)):
        k1 = (tile // (N2 // TILE)) * TILE + tl.arange(0, TILE)
        j2 = (tile % (N2 // TILE)) * TILE + tl.arange(0, TILE)
        re = tl.zeros((TILE, TILE), dtype=tl.float32)
        im = tl.zeros((TILE, TILE), dtype=tl.float32)
        for start in range(0, N1 // 2, TILE):
            j1 = start + tl.arange(0, TILE)
            token = (j1[:, None] * N2 + j2[None, :]).to(tl.int64)
            x = tl.load(u + token * token_stride, mask=token < length, other=0.0).to(tl.float32)
            f_re, f_im = _load(dft, k1, j1, N1, N1 * N1)
            re = tl.dot(f_re, x, re, input_precision=PRECISION)
            im = tl.dot(f_im, x, im, input_precision=PRECISION)
        t_re, t_im = _load(twiddle, k1, j2, N2, N1 * N2)
        at = out + k1[:, None] * N2 + j2[None, :]
        tl.store(at, re * t_re - im * t_im)
        tl.store(at + N1 * N2, re * t_im + im * t_re)


@triton.jit
@no_type_check
def _rows(
    source: tl.tensor,
    dft: tl.tensor,
    factor: tl.tensor,
    out: tl.tensor,
    SIGN: tl.constexpr,
    N1: tl.constexpr,
    N2: tl.constexpr,
    TILE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """Transform rows and multiply by `factor`; with SIGN -1, use the conjugates of both."""
    for tile in range((N1 // TILE) * (N2 // TILE)):
        k1 = (tile // (N2 // TILE)) * TILE + tl.arange(0, TILE)
        column = (tile % (N2 // TILE)) * TILE + tl.arange(0, TILE)
        re = tl.zeros((TILE, TILE), dtype=tl.float32)
        im = tl.zeros((TILE, TILE), dtype=tl.float32)
        for start in range(0, N2, TILE):
            inner = start + tl.arange(0, TILE)
            a_re, a_im = _load(source, k1, inner, N2, N1 * N2)
            f_re, f_im = _load(dft, inner, column, N2, N2 * N2)
            f_im = f_im * SIGN
            re = tl.dot(a_re, f_re, re, input_precision=PRECISION)
            re = tl.dot(-a_im, f_im, re, input_precision=PRECISION)
            im = tl.dot(a_re, f_im, im, input_precision=PRECISION)
            im = tl.dot(a_im, f_re, im, input_precision=PRECISION)
        c_re, c_im = _load(factor, k1, column, N2, N1 * N2)
        c_im = c_im * SIGN
        at = out + k1[:, None] * N2 + column[None, :]
        tl.store(at, re * c_re - im * c_im)
        tl.store(at + N1 * N2, re * c_im + im * c_re)


@triton.jit
@no_type_check
def _columns_backward(
    source: tl.tensor,
    dft: tl.tensor,
    y: tl.tensor,
    length: tl.tensor,
    N1: tl.constexpr,
    N2: tl.constexpr,
    TILE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """Invert the transform of the columns, and write the real part of the first half."""
    for tile in range(tl.cdiv(N1 // 2, TILE) * (N2 // TILE)):
        j1 = (tile // (N2 // TILE)) * TILE + tl.arange(0, TILE)
        j2 = (tile % (N2 // TILE)) * TILE + tl.arange(0, TILE)
        re = tl.zeros((TILE, TILE), dtype=tl.float32)
        for start in range(0, N1, TILE):
            k1 = start + tl.arange(0, TILE)
            f_re, f_im = _load(dft, j1, k1, N1, N1 * N1)
            c_re, c_im = _load(source, k1, j2, N2, N1 * N2)
            re = tl.dot(f_re, c_re, re, input_precision=PRECISION)
            re = tl.dot(f_im, c_im, re, input_precision=PRECISION)  # + because of conj(f)
        token = j1[:, None] * N2 + j2[None, :]
        tl.store(y + token, re.to(y.dtype.element_ty), mask=token < length)


@triton.jit
@no_type_check
def _conv_kernel(
    u: tl.tensor,
    spectrum: tl.tensor,
    y: tl.tensor,
    dft1: tl.tensor,
    dft2: tl.tensor,
    twiddle: tl.tensor,
    scratch: tl.tensor,
    batch_stride: tl.tensor,
    channel_stride: tl.tensor,
    token_stride: tl.tensor,
    n_channels: tl.tensor,
    batch: tl.tensor,
    length: tl.tensor,
    N1: tl.constexpr,
    N2: tl.constexpr,
    TILE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    program = tl.program_id(0).to(tl.int64)
    channel, sample = program // batch, program % batch  # adjacent programs share a spectrum
    start = u + sample * batch_stride + channel * channel_stride
    h = spectrum + channel * (2 * N1 * N2)
    here = scratch + program * (4 * N1 * N2)
    there = here + 2 * N1 * N2
    _columns_forward(start, token_stride, length, dft1, twiddle, here, N1, N2, TILE, PRECISION)
    tl.debug_barrier()  # the next step reads what other threads wrote
    _rows(here, dft2, h, there, 1, N1, N2, TILE, PRECISION)
    tl.debug_barrier()
    _rows(there, dft2, twiddle, here, -1, N1, N2, TILE, PRECISION)
    tl.debug_barrier()
    row = y + (sample * n_channels + channel) * length
    _columns_backward(here, dft1, row, length, N1, N2, TILE, PRECISION)


class _Plan(NamedTuple):
    """The matrices of the equation of the module; index 0 is the real part, 1 the imaginary."""

    dft1: Float32[Tensor, "2 n1 n1"]
    dft2: Float32[Tensor, "2 n2 n2"]
    twiddle: Float32[Tensor, "2 n1 n2"]

    @property
    def shape(self) -> tuple[int, int]:
        """The factors n₁ and n₂ of the number of points."""
        return self.twiddle.shape[1], self.twiddle.shape[2]


def causal_conv(
    u: Float[Tensor, "batch channel length"],
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    *,
    precision: str = "ieee",
) -> Float[Tensor, "batch channel length"]:
    """Compute `reference.causal_conv` by the matrix products of the module's equation.

    Parameters
    ----------
    u
        Input sequence, of any strides and at most 32,768 tokens, in float32 or narrower.
    h
        Filter taps; ``h[:, 0]`` weights the present token.
    d
        Skip weight, added to ``h[:, 0]``.
    precision
        Precision of the factors of matrix products: ``"ieee"`` is float32, ``"tf32"`` rounds
        them to 10 bits for tensor cores. Sums are float32 in both.

    Returns
    -------
    y
        Same shape and dtype as `u`.

    Raises
    ------
    ValueError
        If the sequence is too long, or there is no such precision.

    Source
    ------
    Fu et al. 2023, "FlashFFTConv", arXiv:2311.05908v1, Section 3.1.
    """
    if precision not in _TILES:
        raise ValueError(f"precision must be one of {', '.join(_TILES)}; got {precision!r}")
    if u.shape[-1] > _MOST // 2:
        raise ValueError(
            f"length must be at most {_MOST // 2}; got {u.shape[-1]}; use backend 'torch_fft'"
        )
    return cast("Tensor", _CausalConv.apply(u, h, d, precision))


class _CausalConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        u: Tensor,
        h: Tensor,
        d: Tensor,
        precision: str,
    ) -> Tensor:
        ctx.save_for_backward(u, h, d)
        ctx.precision = precision
        return _convolve(u, _filter_spectrum(h, d), precision)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        d_y: Tensor,
    ) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        u, h, d = ctx.saved_tensors
        # The gradient is a correlation: the filter is reversed, its spectrum conjugated.
        d_u = _convolve(d_y, _filter_spectrum(h, d).conj(), ctx.precision)
        n = _n_points(u.shape[-1])
        u_f, g_f = torch.fft.rfft(u.float(), n=n), torch.fft.rfft(d_y.float(), n=n)
        d_h = torch.fft.irfft(torch.linalg.vecdot(u_f, g_f, dim=0), n=n)[:, : u.shape[-1]]
        return d_u, d_h.to(h.dtype), d_h[:, 0].to(d.dtype), None


def _n_points(length: int) -> int:
    """Return the power of two at which a circular convolution cannot wrap around."""
    return max(_LEAST, triton.next_power_of_2(2 * length - 1))


def _filter_spectrum(h: Tensor, d: Tensor) -> Tensor:
    """Return the spectra of filters with their skip weights, (channel, n), divided by n."""
    long = h.to(torch.float32, copy=True)
    long[:, 0] += d
    return torch.fft.fft(long, n=_n_points(h.shape[1]), norm="forward")


def _convolve(u: Tensor, spectrum: Tensor, precision: str) -> Tensor:
    batch, n_channels, length = u.shape
    plan = _make_plan(spectrum.shape[1], u.device)
    n1, n2 = plan.shape
    ordered = spectrum.view(n_channels, n2, n1).transpose(1, 2)
    y = u.new_empty(u.shape)
    scratch = plan.twiddle.new_empty(batch * n_channels, 2, 2, n1, n2)
    launch(
        _conv_kernel, batch * n_channels,
        u, torch.stack([ordered.real, ordered.imag], dim=1), y, *plan, scratch, *u.stride(),
        n_channels, batch, length, N1=n1, N2=n2,
        TILE=min(_TILES[precision], n2), PRECISION=precision, num_warps=8, num_stages=2,
    )  # fmt: skip
    return y


@lru_cache(maxsize=32)
def _make_plan(n: int, device: torch.device) -> _Plan:
    n2 = 1 << (n.bit_length() - 1) // 2
    n1 = n // n2  # the larger factor, because half of these rows are not computed
    return _Plan(*(_roots(*shape, device) for shape in ((n1, n1, n1), (n2, n2, n2), (n1, n2, n))))


def _roots(n_rows: int, n_columns: int, n: int, device: torch.device) -> Tensor:
    r"""Return :math:`W_n^{jk}` for row j and column k in float32, computed in float64."""
    jk = torch.arange(n_rows)[:, None] * torch.arange(n_columns)
    angle = -2 * math.pi / n * (jk % n).to(torch.float64)
    return torch.stack([angle.cos(), angle.sin()]).to(device, torch.float32)
