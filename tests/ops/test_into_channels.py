"""The map into rows of channels is its defining sum: values, gradients, layout, dtypes."""

import pytest
import torch

from megabase.ops.steps import into_channels


def draw(batch, length, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    shapes = ((batch, length, 5), (7, 5))
    return [torch.randn(s, generator=g, dtype=torch.float64).to(dtype) for s in shapes]


def definition(u, weight):
    return torch.einsum("cd,btd->bct", weight, u)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("length", [1, 2, 33])
def test_equals_the_defining_sum(batch, length):
    """Check Eq. into-channels."""
    torch.testing.assert_close(
        into_channels(*draw(batch, length)), definition(*draw(batch, length))
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_agree_with_the_defining_sum(batch):
    direction, gradients = torch.randn(batch, 7, 33, dtype=torch.float64), []
    for function in (definition, into_channels):
        inputs = [t.requires_grad_() for t in draw(batch, 33)]
        gradients.append(torch.autograd.grad(function(*inputs), inputs, direction))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_neither_the_answer_nor_the_gradient_of_its_input_is_strided():
    u, weight = (t.requires_grad_() for t in draw(3, 33))
    streams = into_channels(u, weight)
    assert streams.is_contiguous()
    (d_u,) = torch.autograd.grad(streams, [u], torch.ones_like(streams))
    assert d_u.is_contiguous()


def test_autocast_rounds_as_it_does_a_linear_map():
    u, weight = (t.requires_grad_() for t in draw(2, 33, torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        streams, expected = into_channels(u, weight), torch.nn.functional.linear(u, weight).mT
    assert streams.dtype is torch.bfloat16
    torch.testing.assert_close(streams, expected)
    gradients = torch.autograd.grad(streams.float().square().sum(), [u, weight])
    assert [g.dtype for g in gradients] == [torch.float32, torch.float32]
