"""Every backend computes the sum of Eq. long-conv, and looks only backwards."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.ops import definition
from megabase.ops.backends import long_conv

FAST_BACKENDS = ("torch_fft",)
LENGTHS = (1, 2, 3, 63, 64, 65, 1000)


@pytest.fixture(params=FAST_BACKENDS)
def causal_conv(request):
    return partial(long_conv, backend=request.param)


def signal(length, *, batch=2, channel=3, seed=0, dtype=torch.float64, device="cpu"):
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(device, dtype)

    return draw(batch, channel, length), draw(channel, length), draw(channel)


def test_the_defining_sum_by_hand():
    u = torch.tensor([[[1.0, 2.0, 3.0]]])
    h = torch.tensor([[10.0, 1.0, 0.5]])
    y = definition.causal_conv(u, h, torch.tensor([100.0]))
    torch.testing.assert_close(y, torch.tensor([[[110.0, 221.0, 332.5]]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", LENGTHS)
def test_equals_the_defining_sum(causal_conv, length, dtype, device):
    u, h, d = signal(length, dtype=dtype, device=device)
    exact = definition.causal_conv(u.double(), h.double(), d.double())
    tolerance = 1e-10 if dtype is torch.float64 else 1e-5
    y = causal_conv(u, h, d)
    assert y.dtype is dtype
    torch.testing.assert_close(
        y.double(), exact, rtol=tolerance, atol=tolerance * exact.abs().max().item()
    )


@settings(deadline=None)
@given(length=st.integers(1, 300), seed=st.integers(0, 10))
def test_nothing_wraps_around_at_any_length(length, seed):
    u, h, d = signal(length, seed=seed)
    torch.testing.assert_close(long_conv(u, h, d), definition.causal_conv(u, h, d))


def test_the_future_does_not_reach_the_past(causal_conv):
    u, h, d = signal(64)
    changed = u.clone()
    changed[..., 40] += 1.0
    before, after = causal_conv(u, h, d), causal_conv(changed, h, d)
    torch.testing.assert_close(after[..., :40], before[..., :40])
    assert not torch.allclose(after[..., 40], before[..., 40])


def test_an_impulse_reads_out_the_filter(causal_conv):
    _, h, d = signal(8)
    impulse = torch.zeros(1, 3, 8, dtype=h.dtype)
    impulse[..., 0] = 1.0
    expected = h.clone()
    expected[:, 0] += d
    torch.testing.assert_close(causal_conv(impulse, h, d)[0], expected)


@pytest.mark.parametrize("length", [1, 33, 64])
def test_gradients_agree_with_the_defining_sum(causal_conv, length):
    inputs = tuple(t.requires_grad_() for t in signal(length))
    ours = torch.autograd.grad(causal_conv(*inputs).square().sum(), inputs)
    theirs = torch.autograd.grad(definition.causal_conv(*inputs).square().sum(), inputs)
    for name, a, b in zip("uhd", ours, theirs, strict=True):
        torch.testing.assert_close(a, b, msg=lambda m, name=name: f"d loss / d {name}: {m}")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_in_gives_half_precision_out(causal_conv, dtype):
    u, h, d = (t.to(dtype) for t in signal(256))
    y = causal_conv(u, h, d)
    exact = definition.causal_conv(u.double(), h.double(), d.double())
    assert y.dtype is dtype
    torch.testing.assert_close(y.double(), exact, rtol=2e-2, atol=2e-1)


def test_the_transform_is_float32_under_autocast_too(causal_conv):
    u, h, d = signal(256, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = causal_conv(u, h, d)
    torch.testing.assert_close(y, causal_conv(u, h, d))


def test_an_unknown_backend_is_an_error():
    with pytest.raises(ValueError, match=r"one of reference, torch_fft; got 'cuda'"):
        long_conv(*signal(4), backend="cuda")
