"""The convolution by matrix products computes the sum of Eq. long-conv."""

import importlib

import pytest
import torch

from megabase.ops import reference
from tests.ops.kernel_device import DEVICE

pytest.importorskip("triton", reason="triton is not installed")
triton_conv = importlib.import_module("megabase.ops.triton_conv")

BATCH, CHANNEL = 2, 3
LENGTHS = (1, 2, 37, 100, 128, 129, 200)  # 256 points, and 512 for the last two


def draw(*shape, dtype=torch.float32):
    return torch.randn(shape, dtype=torch.float64).to(DEVICE, dtype)


def inputs(length, *, dtype=torch.float32):
    return [draw(BATCH, CHANNEL, length, dtype=dtype), draw(CHANNEL, length), draw(CHANNEL)]


def doubles(tensors):
    return [t.detach().double() for t in tensors]


def close(ours, exact, tolerance=1e-5):
    largest = exact.abs().max().item()
    torch.testing.assert_close(ours.double(), exact, rtol=0.0, atol=tolerance * largest)


def gradients(conv, tensors, direction):
    tensors = [t.detach().requires_grad_() for t in tensors]
    return torch.autograd.grad((conv(*tensors).double() * direction).sum(), tensors)


def compare_gradients(tensors, tolerance=1e-5):
    direction = draw(*tensors[0].shape, dtype=torch.float64)
    found = gradients(triton_conv.causal_conv, tensors, direction)
    exact = gradients(reference.causal_conv, doubles(tensors), direction)
    for name, a, b, t in zip("uhd", found, exact, tensors, strict=True):
        assert (a.dtype, a.shape) == (t.dtype, t.shape), name
        close(a, b, tolerance)


@pytest.mark.parametrize("length", LENGTHS)
def test_equals_the_defining_sum(length):
    """Check the four steps by what it is for."""
    tensors = inputs(length)
    close(triton_conv.causal_conv(*tensors), reference.causal_conv(*doubles(tensors)))


@pytest.mark.parametrize("length", LENGTHS)
def test_gradients_agree_with_the_defining_sum(length):
    compare_gradients(inputs(length))


def test_matrices_are_multiplied_tile_by_tile(monkeypatch):
    monkeypatch.setitem(triton_conv._TILES, "ieee", 16)
    u, h, d = inputs(600)  # 64 × 32 points
    tensors = [u[:1, :1], h[:1], d[:1]]
    close(triton_conv.causal_conv(*tensors), reference.causal_conv(*doubles(tensors)))
    compare_gradients(tensors)


def test_a_matrix_may_be_one_tile():
    tensors = inputs(260)  # 32 × 32 points
    close(triton_conv.causal_conv(*tensors), reference.causal_conv(*doubles(tensors)))


def test_an_impulse_reads_out_the_filter():
    _, h, d = inputs(40)
    impulse = torch.zeros(1, CHANNEL, 40, device=DEVICE)
    impulse[..., 0] = 1.0
    expected = h.clone()
    expected[:, 0] += d
    close(triton_conv.causal_conv(impulse, h, d)[0], expected.double())


def test_the_future_does_not_reach_the_past():
    u, h, d = inputs(64)
    changed = u.clone()
    changed[..., 40] += 1.0
    before, after = triton_conv.causal_conv(u, h, d), triton_conv.causal_conv(changed, h, d)
    torch.testing.assert_close(after[..., :40], before[..., :40], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(after[..., 40], before[..., 40], rtol=1e-4, atol=1e-4)


def test_bfloat16_in_gives_bfloat16_out():
    tensors = inputs(50, dtype=torch.bfloat16)
    y = triton_conv.causal_conv(*tensors)
    assert y.dtype is torch.bfloat16
    close(y, reference.causal_conv(*doubles(tensors)), 2**-7)
    compare_gradients(tensors, 2**-7)


def test_the_input_may_have_any_strides():
    u, h, d = inputs(30)
    strided = u.transpose(1, 2).contiguous().transpose(1, 2)
    assert not strided.is_contiguous()
    close(triton_conv.causal_conv(strided, h, d), reference.causal_conv(*doubles([u, h, d])))
    compare_gradients([strided, h, d])


def test_tensor_cores_precision_can_be_asked_for():
    tensors = inputs(60)
    y = triton_conv.causal_conv(*tensors, precision="tf32")
    close(y, reference.causal_conv(*doubles(tensors)), 1e-2)


@pytest.mark.parametrize("n", [256, 512, 4096, 65536])
def test_the_matrices_of_a_plan_factor_the_transform(n):
    plan = triton_conv._make_plan(n, torch.device("cpu"))
    n1, n2 = plan.shape
    assert n1 * n2 == n
    assert min(n1, n2) >= 16
    dft1, dft2, twiddle = (torch.complex(*m.double()) for m in plan)
    x = torch.randn(n1, n2, dtype=torch.complex128)
    spectrum = (twiddle * (dft1 @ x)) @ dft2
    exact = torch.fft.fft(x.flatten()).view(n2, n1).t()
    torch.testing.assert_close(spectrum, exact, rtol=0.0, atol=1e-6 * exact.abs().max().item())


def test_what_does_not_fit_a_program_is_refused():
    with pytest.raises(ValueError, match="at most 32768; got 32769"):
        triton_conv.causal_conv(*inputs(32_769))


def test_an_unknown_precision_is_an_error():
    with pytest.raises(ValueError, match="one of ieee, tf32; got 'half'"):
        triton_conv.causal_conv(*inputs(4), precision="half")
