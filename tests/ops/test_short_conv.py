"""Every form of the short convolution is that of the definition, with its gradient."""

import pytest
import torch

from megabase.ops import definition
from megabase.ops.online import ShortSums
from megabase.ops.short_conv import (
    ShortFilter,
    apply_short,
    plain_short_conv,
    short_backward,
    with_input_bias,
    without_edge,
)

SIZES = [(n_taps, length) for n_taps in (1, 2, 3, 5) for length in (1, 2, 4, 30)]


def draw(n_taps, length):
    """Give inputs, taps, bias and the bias of the inputs."""
    torch.manual_seed(0)
    shapes = (2, 6, length), (6, n_taps), (6,), (6,)
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def applied(p, short):
    return apply_short(p, short, torch.full_like(p, torch.nan))


@pytest.mark.parametrize("function", [applied, plain_short_conv])
@pytest.mark.parametrize(("n_taps", "length"), SIZES)
def test_whole_streams_and_tiles_give_the_defining_sum(function, n_taps, length):
    """Check Eq. short-conv, with and without a bias of the inputs."""
    p, taps, bias, input_bias = draw(n_taps, length)
    exact = definition.short_conv(p, taps, bias)
    torch.testing.assert_close(function(p, without_edge(taps, bias)), exact)
    exact = definition.short_conv(p + input_bias[:, None], taps, bias)
    torch.testing.assert_close(function(p, with_input_bias(taps, bias, input_bias)), exact)


@pytest.mark.parametrize(("n_taps", "length"), SIZES)
def test_the_gradient_is_that_of_the_plain_form(n_taps, length):
    p, *short = draw(n_taps, length)
    short = ShortFilter(*short[:2], torch.randn(6, n_taps - 1, dtype=torch.float64))
    d_out, inputs = torch.randn_like(p), [t.requires_grad_() for t in (p, *short)]
    exact = torch.autograd.grad(plain_short_conv(p, short), inputs, d_out)
    d_p, *d_short = (torch.full_like(t, torch.nan) for t in inputs)
    with torch.no_grad():
        short_backward(d_out, p, short, d_stream=d_p, d_short=ShortFilter(*d_short))
    for ours, truth in zip((d_p, *d_short), exact, strict=True):
        torch.testing.assert_close(ours, truth)


@pytest.mark.parametrize("n_known", [0, 1, 7])
@pytest.mark.parametrize("n_taps", [1, 2, 3, 5])
def test_token_by_token_it_is_the_defining_sum(n_taps, n_known):
    p, taps, bias, _ = draw(n_taps, 12)
    before = torch.cat([p.new_zeros(2, 6, n_taps - 1), p[..., :n_known]], dim=-1)
    sums = ShortSums(taps[None], bias[None], before[None, ..., before.shape[-1] - n_taps + 1 :])
    answers = []
    for inputs in p[..., n_known:].unbind(-1):
        sums.inputs.copy_(inputs)
        answers.append(sums.past[0] + sums.present[0] * inputs)
        sums.push()
    exact = definition.short_conv(p, taps, bias)[..., n_known:]
    torch.testing.assert_close(torch.stack(answers, dim=-1), exact)
