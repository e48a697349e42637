r"""The mixing of a Hyena operator of order 2 in few passes over the memory of a GPU.

It computes `gated_conv` for all channels at once. FFTs are torch's; between them each pass is
one kernel, which combines short filter, gate, mask and the zero padding that an FFT needs.
Kernels read streams of any strides in float32 or narrower, and compute in float32. No sum
depends on the order in which programs finish, so results are reproducible.
"""

from typing import Any, cast, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Complex, Float, Float32
from torch import Tensor

from megabase.ops.fft import fft_length
from megabase.ops.gated_conv import N_STREAMS, refuse_second_derivative
from megabase.ops.short_conv import ShortFilter
from megabase.ops.taps import with_skip
from megabase.ops.triton.launch import launch

_LAST, _FIRST, _VALUE = range(N_STREAMS)
_BLOCK = 512  # tokens or frequencies that a program computes

# Triton compiles functions from their source, so a runtime type checker must not wrap them.


@triton.jit
@no_type_check
def _place(batch: tl.tensor, n_blocks: tl.tensor, BLOCK: tl.constexpr) -> tl.tensor:
    """Return the channel, the sample and the tokens of this program."""
    program = tl.program_id(0).to(tl.int64)  # offsets into streams can exceed 2³¹
    row = program // n_blocks
    token = (program % n_blocks) * BLOCK + tl.arange(0, BLOCK)
    return row // batch, row % batch, token


@triton.jit
@no_type_check
def _filtered(
    streams: tl.tensor,
    taps: tl.tensor,
    bias: tl.tensor,
    edge: tl.tensor,
    batch_stride: tl.tensor,
    channel_stride: tl.tensor,
    token_stride: tl.tensor,
    sample: tl.tensor,
    channel: tl.tensor,
    token: tl.tensor,
    length: tl.tensor,
    TAPS: tl.constexpr,
) -> tl.tensor:
    """Apply the short filter of a channel of the streams at these tokens."""
    start = streams + sample * batch_stride + channel * channel_stride
    first = (token < TAPS - 1) & (token < length)
    out = tl.load(edge + channel * (TAPS - 1) + token, mask=first, other=0.0)
    out += tl.load(bias + channel)
    for lag in tl.static_range(TAPS):
        there = (token >= lag) & (token < length)
        p = tl.load(start + (token - lag) * token_stride, mask=there, other=0.0)
        out += tl.load(taps + channel * TAPS + (TAPS - 1 - lag)) * p.to(tl.float32)
    return out


@triton.jit
@no_type_check
def _masked(
    x: tl.tensor,
    mask: tl.tensor,
    batch_stride: tl.tensor,
    token_stride: tl.tensor,
    sample: tl.tensor,
    token: tl.tensor,
    length: tl.tensor,
    HAS_MASK: tl.constexpr,
) -> tl.tensor:
    """Set to zero what lies in padding or beyond the length."""
    real = token < length
    if HAS_MASK:
        at = mask + sample * batch_stride + token * token_stride
        real = real & (tl.load(at, mask=real, other=0) != 0)
    return tl.where(real, x, 0.0)


@triton.jit
@no_type_check
def _gate_kernel(
    streams: tl.tensor,
    taps: tl.tensor,
    bias: tl.tensor,
    edge: tl.tensor,
    batch_stride: tl.tensor,
    channel_stride: tl.tensor,
    token_stride: tl.tensor,
    mask: tl.tensor,
    mask_batch_stride: tl.tensor,
    mask_token_stride: tl.tensor,
    padded: tl.tensor,
    n_channels: tl.tensor,
    batch: tl.tensor,
    length: tl.tensor,
    n: tl.tensor,
    n_blocks: tl.tensor,
    TAPS: tl.constexpr,
    HAS_MASK: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    channel, sample, token = _place(batch, n_blocks, BLOCK)
    first = _filtered(
        streams, taps, bias, edge, batch_stride, channel_stride, token_stride,
        sample, n_channels + channel, token, length, TAPS,
    )  # fmt: skip
    value = _filtered(
        streams, taps, bias, edge, batch_stride, channel_stride, token_stride,
        sample, 2 * n_channels + channel, token, length, TAPS,
    )  # fmt: skip
    z = _masked(
        first * value, mask, mask_batch_stride, mask_token_stride, sample, token, length, HAS_MASK
    )
    tl.store(padded + (channel * batch + sample) * n + token, z, mask=token < n)


@triton.jit
@no_type_check
def _gate_backward_kernel(
    streams: tl.tensor,
    taps: tl.tensor,
    bias: tl.tensor,
    edge: tl.tensor,
    batch_stride: tl.tensor,
    channel_stride: tl.tensor,
    token_stride: tl.tensor,
    mask: tl.tensor,
    mask_batch_stride: tl.tensor,
    mask_token_stride: tl.tensor,
    d_z: tl.tensor,
    d_first: tl.tensor,
    d_value: tl.tensor,
    n_channels: tl.tensor,
    batch: tl.tensor,
    length: tl.tensor,
    n: tl.tensor,
    n_blocks: tl.tensor,
    TAPS: tl.constexpr,
    HAS_MASK: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    channel, sample, token = _place(batch, n_blocks, BLOCK)
    inside = token < length
    first = _filtered(
        streams, taps, bias, edge, batch_stride, channel_stride, token_stride,
        sample, n_channels + channel, token, length, TAPS,
    )  # fmt: skip
    value = _filtered(
        streams, taps, bias, edge, batch_stride, channel_stride, token_stride,
        sample, 2 * n_channels + channel, token, length, TAPS,
    )  # fmt: skip
    g = tl.load(d_z + (channel * batch + sample) * n + token, mask=inside, other=0.0)
    g = _masked(g, mask, mask_batch_stride, mask_token_stride, sample, token, length, HAS_MASK)
    at = (sample * n_channels + channel) * length + token
    tl.store(d_first + at, g * value, mask=inside)
    tl.store(d_value + at, g * first, mask=inside)


@triton.jit
@no_type_check
def _gate_output_kernel(
    streams: tl.tensor,
    taps: tl.tensor,
    bias: tl.tensor,
    edge: tl.tensor,
    batch_stride: tl.tensor,
    channel_stride: tl.tensor,
    token_stride: tl.tensor,
    conv: tl.tensor,
    y: tl.tensor,
    n_channels: tl.tensor,
    batch: tl.tensor,
    length: tl.tensor,
    n: tl.tensor,
    n_blocks: tl.tensor,
    TAPS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    channel, sample, token = _place(batch, n_blocks, BLOCK)
    inside = token < length
    last = _filtered(
        streams, taps, bias, edge, batch_stride, channel_stride, token_stride,
        sample, channel, token, length, TAPS,
    )  # fmt: skip
    x = tl.load(conv + (channel * batch + sample) * n + token, mask=inside, other=0.0)
    at = (sample * n_channels + channel) * length + token
    tl.store(y + at, (last * x).to(y.dtype.element_ty), mask=inside)


@triton.jit
@no_type_check
def _gate_output_backward_kernel(
    streams: tl.tensor,
    taps: tl.tensor,
    bias: tl.tensor,
    edge: tl.tensor,
    batch_stride: tl.tensor,
    channel_stride: tl.tensor,
    token_stride: tl.tensor,
    d_y: tl.tensor,
    conv: tl.tensor,
    padded: tl.tensor,
    d_last: tl.tensor,
    n_channels: tl.tensor,
    batch: tl.tensor,
    length: tl.tensor,
    n: tl.tensor,
    n_blocks: tl.tensor,
    TAPS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    channel, sample, token = _place(batch, n_blocks, BLOCK)
    inside = token < length
    last = _filtered(
        streams, taps, bias, edge, batch_stride, channel_stride, token_stride,
        sample, channel, token, length, TAPS,
    )  # fmt: skip
    row = (channel * batch + sample) * n
    at = (sample * n_channels + channel) * length + token
    g = tl.load(d_y + at, mask=inside, other=0.0).to(tl.float32)
    x = tl.load(conv + row + token, mask=inside, other=0.0)
    tl.store(d_last + at, g * x, mask=inside)
    tl.store(padded + row + token, tl.where(inside, g * last, 0.0), mask=token < n)


@triton.jit
@no_type_check
def _short_backward_kernel(
    d_out: tl.tensor,
    stream: tl.tensor,
    taps: tl.tensor,
    d_stream: tl.tensor,
    partial_sums: tl.tensor,
    batch_stride: tl.tensor,
    channel_stride: tl.tensor,
    token_stride: tl.tensor,
    d_batch_stride: tl.tensor,
    d_channel_stride: tl.tensor,
    d_token_stride: tl.tensor,
    n_channels: tl.tensor,
    batch: tl.tensor,
    length: tl.tensor,
    n_blocks: tl.tensor,
    TAPS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    channel, sample, token = _place(batch, n_blocks, BLOCK)
    row = d_out + (sample * n_channels + channel) * length
    here = tl.load(row + token, mask=token < length, other=0.0)
    start = stream + sample * batch_stride + channel * channel_stride
    sums = partial_sums + tl.program_id(0).to(tl.int64) * (TAPS + 1)
    tl.store(sums + TAPS, tl.sum(here, axis=0))
    d_p = tl.zeros((BLOCK,), dtype=tl.float32)
    for lag in tl.static_range(TAPS):
        later = tl.load(row + token + lag, mask=token + lag < length, other=0.0)
        d_p += tl.load(taps + channel * TAPS + (TAPS - 1 - lag)) * later
        there = (token >= lag) & (token < length)
        p = tl.load(start + (token - lag) * token_stride, mask=there, other=0.0)
        tl.store(sums + (TAPS - 1 - lag), tl.sum(here * p.to(tl.float32), axis=0))
    at = d_stream + sample * d_batch_stride + channel * d_channel_stride + token * d_token_stride
    tl.store(at, d_p.to(d_stream.dtype.element_ty), mask=token < length)


@triton.jit
@no_type_check
def _multiply_kernel(
    z: tl.tensor,
    h: tl.tensor,
    batch: tl.tensor,
    n_frequencies: tl.tensor,
    n_blocks: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    channel, sample, frequency = _place(batch, n_blocks, BLOCK)
    inside = frequency < n_frequencies
    at = z + 2 * ((channel * batch + sample) * n_frequencies + frequency)
    at_h = h + 2 * (channel * n_frequencies + frequency)
    a, b = tl.load(at, mask=inside, other=0.0), tl.load(at + 1, mask=inside, other=0.0)
    c, d = tl.load(at_h, mask=inside, other=0.0), tl.load(at_h + 1, mask=inside, other=0.0)
    tl.store(at, a * c - b * d, mask=inside)
    tl.store(at + 1, a * d + b * c, mask=inside)


@triton.jit
@no_type_check
def _spectra_backward_kernel(
    z: tl.tensor,
    h: tl.tensor,
    g: tl.tensor,
    d_h: tl.tensor,
    n_frequencies: tl.tensor,
    n_blocks: tl.tensor,
    BATCH: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    program = tl.program_id(0).to(tl.int64)
    channel = program // n_blocks
    frequency = (program % n_blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = frequency < n_frequencies
    at_h = 2 * (channel * n_frequencies + frequency)
    h_re = tl.load(h + at_h, mask=inside, other=0.0)
    h_im = tl.load(h + at_h + 1, mask=inside, other=0.0)
    re = tl.zeros((BLOCK,), dtype=tl.float32)
    im = tl.zeros((BLOCK,), dtype=tl.float32)
    for sample in range(BATCH):
        at = 2 * ((channel * BATCH + sample) * n_frequencies + frequency)
        z_re = tl.load(z + at, mask=inside, other=0.0)
        z_im = tl.load(z + at + 1, mask=inside, other=0.0)
        g_re = tl.load(g + at, mask=inside, other=0.0)
        g_im = tl.load(g + at + 1, mask=inside, other=0.0)
        re += g_re * z_re + g_im * z_im
        im += g_im * z_re - g_re * z_im
        tl.store(g + at, g_re * h_re + g_im * h_im, mask=inside)
        tl.store(g + at + 1, g_im * h_re - g_re * h_im, mask=inside)
    tl.store(d_h + at_h, re, mask=inside)
    tl.store(d_h + at_h + 1, im, mask=inside)


def gate(
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    padded: Float32[Tensor, "channel batch n"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> None:
    """Write the first gate times the value, zero-padded, into the input of the FFT.

    Parameters
    ----------
    streams
        The last gate, the first gate and the value, before the short filter.
    short
        The short filter of each channel of each stream.
    padded
        Output; contiguous. Its numbers after the length are set to zero.
    mask
        False where a token is padding, at which zero is written.

    Source
    ------
    Nguyen et al. 2023, "HyenaDNA", arXiv:2306.15794v2, Eq. (3.1).
    """
    n_channels, batch, n = padded.shape
    _require_contiguous(padded)
    launch(
        _gate_kernel, _n_programs(n_channels * batch, n),
        *_stream_arguments(streams, short), *_mask_arguments(mask, streams), padded,
        n_channels, batch, streams.shape[-1], n, triton.cdiv(n, _BLOCK),
        TAPS=short.taps.shape[1], HAS_MASK=mask is not None, BLOCK=_BLOCK,
    )  # fmt: skip


def gate_backward(
    d_z: Float32[Tensor, "channel batch n"],
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> tuple[Float32[Tensor, "batch channel length"], Float32[Tensor, "batch channel length"]]:
    """Return the gradients of the filtered first gate and of the filtered value.

    Parameters
    ----------
    d_z
        Gradient of the output of `gate`; contiguous. Numbers after the length are not read.
    streams, short, mask
        The arguments of `gate`.
    """
    n_channels, batch, n = d_z.shape
    length = streams.shape[-1]
    _require_contiguous(d_z)
    d_first, d_value = d_z.new_empty(2, batch, n_channels, length).unbind()
    launch(
        _gate_backward_kernel, _n_programs(n_channels * batch, length),
        *_stream_arguments(streams, short), *_mask_arguments(mask, streams), d_z, d_first, d_value,
        n_channels, batch, length, n, triton.cdiv(length, _BLOCK),
        TAPS=short.taps.shape[1], HAS_MASK=mask is not None, BLOCK=_BLOCK,
    )  # fmt: skip
    return d_first, d_value


def gate_output(
    conv: Float32[Tensor, "channel batch n"],
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
) -> Float[Tensor, "batch channel length"]:
    """Return the long convolution times the filtered last gate.

    Parameters
    ----------
    conv
        Long convolution of the output of `gate`; contiguous. Numbers after the length are not
        read.
    streams, short
        The arguments of `gate`.

    Returns
    -------
    y
        In the dtype of `streams`.

    Source
    ------
    Nguyen et al. 2023, "HyenaDNA", arXiv:2306.15794v2, Eq. (3.1).
    """
    n_channels, batch, n = conv.shape
    length = streams.shape[-1]
    _require_contiguous(conv)
    y = streams.new_empty(batch, n_channels, length)
    launch(
        _gate_output_kernel, _n_programs(n_channels * batch, length),
        *_stream_arguments(streams, short), conv, y,
        n_channels, batch, length, n, triton.cdiv(length, _BLOCK),
        TAPS=short.taps.shape[1], BLOCK=_BLOCK,
    )  # fmt: skip
    return y


def gate_output_backward(
    d_y: Float[Tensor, "batch channel length"],
    conv: Float32[Tensor, "channel batch n"],
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    padded: Float32[Tensor, "channel batch n"],
) -> Float32[Tensor, "batch channel length"]:
    """Return the gradient of the filtered last gate, and write that of the convolution.

    Parameters
    ----------
    d_y
        Gradient of the output of `gate_output`.
    conv, streams, short
        The arguments of `gate_output`.
    padded
        Receives the gradient of the convolution, zero-padded; contiguous.
    """
    n_channels, batch, n = conv.shape
    _require_contiguous(conv, padded)
    d_last = conv.new_empty(d_y.shape)
    launch(
        _gate_output_backward_kernel, _n_programs(n_channels * batch, n),
        *_stream_arguments(streams, short), d_y.contiguous(), conv, padded, d_last,
        n_channels, batch, d_y.shape[-1], n, triton.cdiv(n, _BLOCK),
        TAPS=short.taps.shape[1], BLOCK=_BLOCK,
    )  # fmt: skip
    return d_last


def short_backward(
    d_out: Float32[Tensor, "batch channel length"],
    stream: Float[Tensor, "batch channel length"],
    taps: Float[Tensor, "channel tap"],
    d_stream: Float[Tensor, "batch channel length"] | None = None,
) -> tuple[Float[Tensor, "batch channel length"], ShortFilter]:
    """Return the gradients of one stream and of its short filter.

    Parameters
    ----------
    d_out
        Gradient of the filtered stream; contiguous.
    stream
        The stream before its filter, of any strides.
    taps
        Taps of the filter, that of the present token last.
    d_stream
        Where to write the gradient of the stream, of any strides; None: a new tensor.

    Returns
    -------
    d_stream
        Gradient of the stream, in its dtype.
    d_short
        Gradient of the short filter, in float32. Each program stores the sum over its tokens, and
        torch adds these, so that the order of programs does not matter.
    """
    batch, n_channels, length = d_out.shape
    n_taps, n_blocks = taps.shape[1], triton.cdiv(length, _BLOCK)
    _require_contiguous(d_out)
    d_stream = torch.empty_like(stream) if d_stream is None else d_stream
    sums = d_out.new_empty(n_channels, batch * n_blocks, n_taps + 1)
    launch(
        _short_backward_kernel, _n_programs(n_channels * batch, length),
        d_out, stream, taps.float().contiguous(), d_stream, sums,
        *stream.stride(), *d_stream.stride(), n_channels, batch, length, n_blocks,
        TAPS=n_taps, BLOCK=_BLOCK,
    )  # fmt: skip
    d_taps, d_bias = sums.sum(1).split([n_taps, 1], dim=1)
    d_edge = d_out.new_zeros(n_channels, n_taps - 1)
    d_edge[:, :length] = d_out[..., : n_taps - 1].sum(0)
    return d_stream, ShortFilter(d_taps, d_bias[:, 0], d_edge)


def multiply_spectra(
    z: Complex[Tensor, "channel batch frequency"], h: Complex[Tensor, "channel 1 frequency"]
) -> None:
    """Multiply the spectra of signals by those of their filters, in place.

    Parameters
    ----------
    z
        Spectra of signals, which are overwritten by the products; contiguous.
    h
        Spectrum of the filter of each channel; contiguous.
    """
    n_channels, batch, n_frequencies = z.shape
    _require_contiguous(z, h)
    launch(
        _multiply_kernel, _n_programs(n_channels * batch, n_frequencies),
        torch.view_as_real(z), torch.view_as_real(h), batch, n_frequencies,
        triton.cdiv(n_frequencies, _BLOCK), BLOCK=_BLOCK,
    )  # fmt: skip


def spectra_backward(
    z: Complex[Tensor, "channel batch frequency"],
    h: Complex[Tensor, "channel 1 frequency"],
    g: Complex[Tensor, "channel batch frequency"],
) -> Complex[Tensor, "channel 1 frequency"]:
    """Return the spectrum of the filters' gradient, and replace `g` by that of the signals.

    Parameters
    ----------
    z, h
        Spectra of signals and of their filters; contiguous.
    g
        Spectra of the gradient of their convolutions; contiguous. Replaced by g * conj(h).

    Returns
    -------
    d_h
        The sum over the batch of g * conj(z).
    """
    n_channels, batch, n_frequencies = z.shape
    _require_contiguous(z, h, g)
    d_h = torch.empty_like(h)
    launch(
        _spectra_backward_kernel, _n_programs(n_channels, n_frequencies),
        *map(torch.view_as_real, (z, h, g, d_h)), n_frequencies,
        triton.cdiv(n_frequencies, _BLOCK), BATCH=batch, BLOCK=_BLOCK,
    )  # fmt: skip
    return d_h


def gated_conv(
    streams: Float[Tensor, "batch stream_channel length"],
    short: ShortFilter,
    h: Float[Tensor, "channel length"],
    d: Float[Tensor, " channel"],
    mask: Bool[Tensor, "batch 1 length"] | None = None,
) -> Float[Tensor, "batch channel length"]:
    """Compute `megabase.ops.gated_conv.gated_conv` by Triton kernels.

    Gates and convolutions are recomputed for the gradient.

    Parameters
    ----------
    streams
        The last gate, the first gate and the value, before the short filter; float32 or narrower.
    short
        The short filter of each channel of each stream.
    h
        The long filter; ``h[:, 0]`` weights the present token.
    d
        Skip weight, added to ``h[:, 0]``.
    mask
        False where a token is padding, which is set to zero before the long convolution.

    Returns
    -------
    y
        In the dtype of `streams`.

    Raises
    ------
    ValueError
        If streams are float64.

    Source
    ------
    Nguyen et al. 2023, "HyenaDNA", arXiv:2306.15794v2, Eq. (3.1).
    """
    if streams.dtype is torch.float64:
        raise ValueError("the kernels compute in float32, and streams are float64")
    return cast("Tensor", _TritonGatedConv.apply(streams, *short, h, d, mask))


class _TritonGatedConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 torch's own
        streams: Tensor,
        taps: Tensor,
        bias: Tensor,
        edge: Tensor,
        h: Tensor,
        d: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(streams, taps, bias, edge, h, d, mask)
        short = _narrow(taps, bias, edge)
        padded, z, h_f = _spectra(streams, short, h, d, mask)
        multiply_spectra(z, h_f)
        return gate_output(torch.fft.irfft(z, n=padded.shape[-1]), streams, short)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] torch hides its names
        ctx: Any,  # noqa: ANN401 torch's own
        d_y: Tensor,
    ) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        streams, taps, bias, edge, h, d, mask = ctx.saved_tensors
        short = _narrow(taps, bias, edge)
        padded, z, h_f = _spectra(streams, short, h, d, mask)
        n = padded.shape[-1]
        d_last = gate_output_backward(d_y, torch.fft.irfft(z * h_f, n=n), streams, short, padded)
        g = torch.fft.rfft(padded)
        d_h = torch.fft.irfft(spectra_backward(z, h_f, g), n=n)[:, 0, : h.shape[1]]
        d_z = torch.fft.irfft(g, n=n)
        d_out = (d_last, *gate_backward(d_z, streams, short, mask))
        d_streams, d_short = _all_short_backward(d_out, streams, short)
        d_d = d_h[:, 0]  # the skip weight is part of the first tap
        wanted = zip((*d_short, d_h, d_d), (taps, bias, edge, h, d), strict=True)
        return d_streams, *(gradient.to(t.dtype) for gradient, t in wanted), None


def _spectra(
    streams: Tensor, short: ShortFilter, h: Tensor, d: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a padded buffer, the spectra of the gated values, and those of the filters."""
    batch, _, length = streams.shape
    n = fft_length(2 * length - 1)
    padded = streams.new_empty(len(h), batch, n, dtype=torch.float32)
    gate(streams, short, padded, mask)
    return padded, torch.fft.rfft(padded), torch.fft.rfft(with_skip(h, d), n=n)[:, None]


def _all_short_backward(
    d_out: tuple[Tensor, ...], streams: Tensor, short: ShortFilter
) -> tuple[Tensor, ShortFilter]:
    d_streams = torch.empty_like(streams)
    d_shorts = [
        short_backward(*parts)[1]
        for parts in zip(
            d_out,
            streams.chunk(N_STREAMS, dim=1),
            short.taps.chunk(N_STREAMS),
            d_streams.chunk(N_STREAMS, dim=1),
            strict=True,
        )
    ]
    return d_streams, ShortFilter(*map(torch.cat, zip(*d_shorts, strict=True)))


def _narrow(*short: Tensor) -> ShortFilter:
    return ShortFilter(*(t.to(torch.float32).contiguous() for t in short))


def _stream_arguments(streams: Tensor, short: ShortFilter) -> tuple[Tensor | int, ...]:
    return (streams, *_narrow(*short), *streams.stride())


def _mask_arguments(mask: Tensor | None, instead: Tensor) -> tuple[Tensor | int, ...]:
    """Return the mask as bytes and its strides; without a mask, a tensor that is not read."""
    if mask is None:
        return instead, 0, 0
    return mask.view(torch.uint8), mask.stride(0), mask.stride(2)


def _n_programs(n_rows: int, n_numbers: int) -> int:
    return n_rows * triton.cdiv(n_numbers, _BLOCK)


def _require_contiguous(*tensors: Tensor) -> None:
    if not all(t.is_contiguous() for t in tensors):
        raise ValueError("input and output of an FFT must be contiguous; call .contiguous() first")
