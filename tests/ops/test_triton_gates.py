"""The kernels around the long convolution compute what its plain definition says."""

import importlib

import pytest
import torch

from megabase.ops import definition
from megabase.ops.backends import gated_conv_by
from megabase.ops.fft import fft_length
from megabase.ops.short_conv import ShortFilter
from megabase.ops.steps import Steps
from tests.ops.kernel_device import DEVICE

pytest.importorskip("triton", reason="triton is not installed")
triton_gates = importlib.import_module("megabase.ops.triton.gates")

BATCH, CHANNEL = 2, 3
LENGTHS = (1, 2, 3, 16, 37)
NAMES = ("streams", "taps", "bias", "edge", "h", "d")


@pytest.fixture(autouse=True)
def _several_programs(monkeypatch):
    monkeypatch.setattr(triton_gates, "_BLOCK", 16)


def draw(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=torch.float64).to(DEVICE, dtype)


def inputs(length, *, taps=3, dtype=torch.float32):
    rows = 3 * CHANNEL
    streams = draw(BATCH, rows, length, dtype=dtype)
    short = draw(rows, taps), draw(rows), draw(rows, taps - 1)
    return [streams, *(t.float() for t in (*short, draw(CHANNEL, length), draw(CHANNEL)))]


def last_tokens_padded(length):
    mask = torch.ones(BATCH, 1, length, dtype=torch.bool, device=DEVICE)
    mask[0, :, length // 2 :] = False
    return mask


def filtered(streams, taps, bias, edge):
    s = definition.short_conv(streams, taps, bias)
    width = min(edge.shape[1], s.shape[-1])
    first = s[..., :width] + edge[:, :width]
    return torch.cat([first, s[..., width:]], dim=2).chunk(3, dim=1)


def exact_gated_conv(streams, taps, bias, edge, h, d, mask=None):
    last, first, value = filtered(streams, taps, bias, edge)
    z = first * value if mask is None else first * value * mask
    return last * definition.causal_conv(z, h, d)


def ours(streams, taps, bias, edge, h, d, mask=None):
    return triton_gates.gated_conv(streams, ShortFilter(taps, bias, edge), h, d, mask)


def doubles(tensors):
    return [t.detach().double().requires_grad_() for t in tensors]


def close(ours, exact, tolerance=1e-5):
    largest = exact.abs().max().item() if exact.numel() else 0.0
    torch.testing.assert_close(
        ours.to(exact.dtype), exact, rtol=0.0, atol=tolerance * largest + 1e-12
    )


def signals(padded, length):
    return padded[..., :length].transpose(0, 1)


def gradients(conv, tensors, mask, direction):
    tensors = [t.detach().requires_grad_() for t in tensors]
    y = conv(*tensors, mask)
    return torch.autograd.grad((y.double() * direction).sum(), tensors)


def compare(tensors, mask=None, tolerance=1e-5):
    exact = exact_gated_conv(*doubles(tensors), mask)
    y = ours(*tensors, mask)
    assert y.dtype is tensors[0].dtype
    close(y, exact, tolerance)


def compare_gradients(tensors, mask=None, tolerance=1e-5):
    direction = draw(BATCH, CHANNEL, tensors[0].shape[-1])
    exact = gradients(exact_gated_conv, doubles(tensors), mask, direction)
    found = gradients(ours, tensors, mask, direction)
    for name, a, b, t in zip(NAMES, found, exact, tensors, strict=True):
        assert (a.dtype, a.shape) == (t.dtype, t.shape), name
        close(a, b, tolerance)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_the_gated_convolution_is_that_of_its_definition(length, masked):
    compare(inputs(length), last_tokens_padded(length) if masked else None)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_its_gradients_are_those_of_its_definition(length, masked):
    compare_gradients(inputs(length), last_tokens_padded(length) if masked else None)


@pytest.mark.parametrize("taps", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 3, 20])
def test_a_short_filter_may_have_any_number_of_taps(length, taps):
    compare(inputs(length, taps=taps))
    compare_gradients(inputs(length, taps=taps))


def test_streams_may_lie_channels_last():
    streams, *others = inputs(21)
    streams = streams.transpose(1, 2).contiguous().transpose(1, 2)
    assert not streams.is_contiguous()
    compare([streams, *others], last_tokens_padded(21))
    compare_gradients([streams, *others], last_tokens_padded(21))


def test_bfloat16_streams_give_a_bfloat16_answer_of_float32_arithmetic():
    streams = inputs(37, dtype=torch.bfloat16)
    compare(streams, last_tokens_padded(37), tolerance=2**-7)
    compare_gradients(streams, last_tokens_padded(37), tolerance=2**-7)


def test_a_mask_may_have_any_strides():
    mask = last_tokens_padded(20)
    compare(inputs(20), mask.transpose(0, 2).contiguous().transpose(0, 2))
    compare(inputs(20), mask[:1].expand(BATCH, 1, 20))


def test_the_answer_is_that_of_the_torch_implementation():
    streams, *short, h, d = inputs(37)
    mask = last_tokens_padded(37)
    y = gated_conv_by(Steps(), streams, ShortFilter(*short), h, d, mask)
    torch.testing.assert_close(ours(streams, *short, h, d, mask), y, rtol=1e-4, atol=1e-4)


def test_the_future_does_not_reach_the_past():
    streams, *others = inputs(40)
    changed = streams.clone()
    changed[..., 25] += 1.0
    before, after = ours(streams, *others), ours(changed, *others)
    torch.testing.assert_close(after[..., :25], before[..., :25], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(after[..., 25], before[..., 25], rtol=1e-4, atol=1e-4)


def test_padding_does_not_reach_what_follows():
    streams, *others = inputs(20, taps=1)
    mask = torch.ones(BATCH, 1, 20, dtype=torch.bool, device=DEVICE)
    mask[..., 5] = False
    changed = streams.clone()
    changed[..., 5] += 1.0
    before, after = ours(streams, *others, mask), ours(changed, *others, mask)
    torch.testing.assert_close(after[..., 6:], before[..., 6:])


def test_the_same_numbers_come_out_each_time():
    tensors, direction = inputs(37), draw(BATCH, CHANNEL, 37)
    once = gradients(ours, tensors, None, direction)
    again = gradients(ours, tensors, None, direction)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("length", LENGTHS)
def test_the_gate_writes_every_number_that_the_transform_reads(length):
    streams, *short, _, _ = inputs(length)
    mask = last_tokens_padded(length)
    padded = torch.full((CHANNEL, BATCH, fft_length(2 * length - 1)), torch.nan, device=DEVICE)
    triton_gates.gate(streams, ShortFilter(*short), padded, mask)
    _, first, value = filtered(*doubles([streams, *short]))
    close(signals(padded, length), first * value * mask)
    assert (padded[..., length:] == 0).all()


def test_the_output_gate_multiplies_the_start_of_the_convolution():
    streams, *short, _, _ = inputs(19)
    conv = draw(CHANNEL, BATCH, 40, dtype=torch.float32)
    y = triton_gates.gate_output(conv, streams, ShortFilter(*short))
    last, _, _ = filtered(*doubles([streams, *short]))
    close(y, last * signals(conv, 19))


def test_the_output_gate_passes_both_gradients_on():
    streams, *short, _, _ = inputs(19)
    conv, d_y = draw(CHANNEL, BATCH, 40, dtype=torch.float32), draw(BATCH, CHANNEL, 19).float()
    padded = torch.full_like(conv, torch.nan)
    d_last = triton_gates.gate_output_backward(d_y, conv, streams, ShortFilter(*short), padded)
    last, _, _ = filtered(*doubles([streams, *short]))
    close(signals(padded, 19), d_y * last)
    close(d_last, d_y * signals(conv, 19))
    assert (padded[..., 19:] == 0).all()


def test_the_gate_passes_each_factor_the_other():
    streams, *short, _, _ = inputs(19)
    mask, d_z = last_tokens_padded(19), draw(CHANNEL, BATCH, 40, dtype=torch.float32)
    d_first, d_value = triton_gates.gate_backward(d_z, streams, ShortFilter(*short), mask)
    _, first, value = filtered(*doubles([streams, *short]))
    close(d_first, signals(d_z, 19) * value * mask)
    close(d_value, signals(d_z, 19) * first * mask)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_short_filter_passes_its_gradients_on(length):
    stream, *short, _, _ = doubles(inputs(length))
    d_out = draw(BATCH, 3 * CHANNEL, length)
    s = torch.cat(filtered(stream, *short), dim=1)
    exact = torch.autograd.grad((s * d_out).sum(), [stream, *short])
    d_stream, d_short = triton_gates.short_backward(d_out.float(), stream.float(), short[0].float())
    for a, b in zip((d_stream, *d_short), exact, strict=True):
        close(a, b)


def test_spectra_are_multiplied_in_place():
    z, h = draw(CHANNEL, BATCH, 21, 2).float(), draw(CHANNEL, 1, 21, 2).float()
    z, h = torch.view_as_complex(z), torch.view_as_complex(h)
    exact = z.to(torch.complex128) * h
    triton_gates.multiply_spectra(z, h)
    close(z, exact)


def test_the_gradients_of_spectra_are_products_with_conjugates():
    shapes = ((CHANNEL, BATCH, 21, 2), (CHANNEL, 1, 21, 2), (CHANNEL, BATCH, 21, 2))
    z, h, g = (torch.view_as_complex(draw(*shape).float()) for shape in shapes)
    wide = g.to(torch.complex128)
    d_h = triton_gates.spectra_backward(z, h, g)
    close(g, wide * h.conj())
    close(d_h, (wide * z.conj()).sum(1, keepdim=True))


def test_float64_streams_are_refused():
    with pytest.raises(ValueError, match="float32"):
        ours(*doubles(inputs(4)))


def test_signals_that_are_not_contiguous_are_refused():
    streams, *short, _, _ = inputs(4)
    padded = torch.empty(BATCH, CHANNEL, 8, device=DEVICE).transpose(0, 1)
    with pytest.raises(ValueError, match="contiguous"):
        triton_gates.gate(streams, ShortFilter(*short), padded)
