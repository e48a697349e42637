"""The mixing in one step is the defining sum: values, gradients, causality, edges, padding."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megabase.ops import backends, definition
from megabase.ops import gated_conv as module
from megabase.ops.backends import gated_conv_by
from megabase.ops.gated_conv import n_kept, refuse_second_derivative
from megabase.ops.short_conv import ShortFilter, with_input_bias
from megabase.ops.steps import Steps

WAYS = ("whole", "recomputed", "some channels at a time", "few in the cache", "split transform")
LENGTHS = (1, 2, 3, 33, 64, 301)


@pytest.fixture(params=WAYS, autouse=True)
def _way(request, monkeypatch):
    """Go every way that long sequences go."""
    if request.param == "recomputed":
        monkeypatch.setattr(module, "KEPT_NUMBERS", 0)
    if request.param in ("some channels at a time", "split transform"):
        monkeypatch.setattr(module, "_CHUNK_ON_CPU", 1)
    if request.param == "few in the cache":
        monkeypatch.setattr(module, "_CACHE_ON_CPU", 1)
    if request.param == "split transform":
        monkeypatch.setattr(backends, "_SPLIT_FROM", 0)


def draw(length, *, batch=2, channel=3, n_taps=3, dtype=torch.float64, seed=0, device="cpu"):
    """Give streams, taps and bias of the short filter, long filter and skip weight."""
    g = torch.Generator().manual_seed(seed)
    shapes = ((batch, 3 * channel, length), (3 * channel, n_taps), (3 * channel,),
              (channel, length), (channel,))  # fmt: skip
    return [torch.randn(s, generator=g, dtype=torch.float64).to(device, dtype) for s in shapes]


def without_edge(streams, taps, bias, h, d, mask=None):
    return gated_conv_by(
        Steps(), streams, ShortFilter(taps, bias, torch.zeros_like(taps[:, 1:])), h, d, mask
    )


def half_masked(length, batch=2):
    return (
        torch.arange(length).expand(batch, 1, length)
        >= torch.tensor([0, length // 2])[:batch, None, None]
    )


@pytest.mark.parametrize("n_taps", [1, 3, 4])
@pytest.mark.parametrize("length", LENGTHS)
def test_equals_the_defining_sum(length, n_taps):
    """Check Eq. gated-conv."""
    inputs = draw(length, n_taps=n_taps)
    torch.testing.assert_close(without_edge(*inputs), definition.gated_conv(*inputs))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("is_masked", [False, True])
def test_gradients_agree_with_the_defining_sum(length, is_masked):
    mask = half_masked(length) if is_masked else None
    inputs = [t.requires_grad_() for t in draw(length)]
    weight = torch.randn(2, 3, length, dtype=torch.float64)
    theirs = definition.gated_conv(*inputs, mask)
    streams = inputs[0] if mask is None else inputs[0] * mask
    ours = without_edge(streams, *inputs[1:], mask)
    torch.testing.assert_close(ours, theirs)
    for name, a, b in zip(
        ("streams", "taps", "bias", "h", "d"),
        torch.autograd.grad((weight * ours).sum(), inputs),
        torch.autograd.grad((weight * theirs).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, msg=lambda m, name=name: f"gradient of {name}: {m}")


@settings(deadline=None, max_examples=30)
@given(length=st.integers(1, 200), seed=st.integers(0, 10))
def test_nothing_wraps_around_at_any_length(length, seed):
    inputs = draw(length, batch=1, seed=seed)
    torch.testing.assert_close(without_edge(*inputs), definition.gated_conv(*inputs))


@pytest.mark.parametrize("length", [1, 2, 50])
def test_an_input_bias_is_part_of_the_short_filter(length):
    streams, taps, bias, h, d = (t.requires_grad_() for t in draw(length))
    input_bias = torch.randn(9, dtype=torch.float64, requires_grad=True)
    ours = gated_conv_by(Steps(), streams, with_input_bias(taps, bias, input_bias), h, d)
    theirs = definition.gated_conv(streams + input_bias[:, None], taps, bias, h, d)
    torch.testing.assert_close(ours, theirs)
    inputs = (taps, bias, input_bias)
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), inputs),
        torch.autograd.grad(theirs.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_the_future_does_not_reach_the_past():
    streams, *rest = draw(64)
    changed = streams.clone()
    changed[..., 40] += 1.0
    before, after = without_edge(streams, *rest), without_edge(changed, *rest)
    torch.testing.assert_close(after[..., :40], before[..., :40])
    assert not torch.allclose(after[..., 40], before[..., 40])


def test_a_shorter_sequence_gives_the_first_part_of_the_answer():
    streams, taps, bias, h, d = draw(64)
    short = without_edge(streams[..., :23], taps, bias, h[:, :23], d)
    torch.testing.assert_close(short, without_edge(streams, taps, bias, h, d)[..., :23])


def test_what_is_masked_is_not_seen():
    streams, *rest = draw(40)
    mask = half_masked(40)
    changed = torch.where(mask, streams, 0.0)
    real = without_edge(changed, *rest, mask)[1, :, 20:]
    h = rest[2][:, :20]
    alone = without_edge(streams[1:, :, 20:], rest[0], rest[1], h, rest[3])[0]
    torch.testing.assert_close(real, alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_arithmetic_is_float32_or_wider(dtype, device):
    inputs = draw(256, dtype=dtype, device=device)
    exact = definition.gated_conv(*(t.double() for t in inputs))
    y = without_edge(*inputs)
    assert y.dtype is dtype
    tolerance = 2 * torch.finfo(dtype).eps if dtype is not torch.float32 else 1e-5
    torch.testing.assert_close(
        y.double(), exact, rtol=tolerance, atol=tolerance * exact.abs().max().item()
    )


def test_autocast_changes_nothing():
    inputs = draw(100, dtype=torch.float32)
    ours = partial(without_edge, *inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = ours()
    torch.testing.assert_close(y, ours(), rtol=0, atol=0)


@pytest.mark.parametrize("is_small", [False, True])
def test_streams_and_filters_are_kept_for_the_gradient_and_what_is_counted(is_small, monkeypatch):
    monkeypatch.setattr(module, "KEPT_NUMBERS", n_kept(2, 3, 1023) - 1 + is_small)
    inputs = [t.requires_grad_() for t in draw(1023)]
    with torch.no_grad():
        assert without_edge(*inputs).grad_fn is None
    kept: dict[int, int] = {}

    def note(t):
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes() // 8
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        y = without_edge(*inputs)
    counted = sum(t.numel() for t in inputs) + 9 * 2 + n_kept(2, 3, 1023)
    assert y.requires_grad
    assert 0.9 * counted <= sum(kept.values()) <= 1.01 * counted


def test_the_short_filter_by_hand():
    """Check Eq. short-conv: the last tap weighs the present token."""
    p = torch.tensor([[[1.0, 2.0, 3.0]]])
    s = definition.short_conv(p, torch.tensor([[0.1, 10.0, 100.0]]), torch.tensor([0.5]))
    torch.testing.assert_close(s, torch.tensor([[[100.5, 210.5, 320.6]]]))


def second_derivatives(function, inputs):
    inputs = [t.detach().double().requires_grad_() for t in inputs]
    first = torch.autograd.grad(function(*inputs).square().sum(), inputs, create_graph=True)
    return torch.autograd.grad(sum(g.square().sum() for g in first), inputs)


def test_a_second_derivative_is_that_of_the_definition():
    inputs = draw(9)
    ours, truth = (second_derivatives(f, inputs) for f in (without_edge, definition.gated_conv))
    for a, b in zip(ours, truth, strict=True):
        torch.testing.assert_close(a, b)


def test_kernels_refuse_a_second_derivative_and_name_the_switch():
    with pytest.raises(ValueError, match=r"model.backbone.engine = .*Engine\('plain'\)"):
        refuse_second_derivative()
