"""Both transforms make a product of a convolution, long enough for all of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from megabase.ops.backends import transform_for
from megabase.ops.definition import causal_conv
from megabase.ops.fft import SplitTransform, Transform, fft_length

LIKE = torch.empty(0, dtype=torch.float64)
MAKERS = {"library": Transform, "split": lambda length: SplitTransform(length, LIKE)}


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def padded(signal, transform):
    return functional.pad(signal, (0, transform.n_in - signal.shape[-1]))


@pytest.mark.parametrize("length", [1, 2, 31, 33, 64, 1000])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_product_of_spectra_is_a_convolution(kind, length):
    """Check Eq. split-transform, and the library's, by what they are for."""
    transform = MAKERS[kind](length)
    u, h = random(2, 3, length), random(3, length)
    product = transform.forward(padded(u, transform)) * transform.forward(padded(h, transform))
    y = transform.inverse(product)[..., :length]
    torch.testing.assert_close(y, causal_conv(u, h, torch.zeros(3, dtype=torch.float64)))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_conjugate_spectrum_looks_forward(kind):
    """Check what the gradient of a convolution needs."""
    transform, length = MAKERS[kind](50), 50
    u, h = random(1, 3, length), random(3, length)
    product = (
        transform.forward(padded(u, transform)) * transform.forward(padded(h, transform)).conj()
    )
    backwards = causal_conv(u.flip(-1), h, torch.zeros(3, dtype=torch.float64)).flip(-1)
    torch.testing.assert_close(transform.inverse(product)[..., :length], backwards)


def test_a_split_spectrum_is_written_into_the_given_buffer():
    transform = SplitTransform(40, LIKE)
    x = padded(random(2, 40), transform)
    out = transform.spectra_buffer(2)
    given_back = transform.forward(x, out)
    assert given_back.data_ptr() == out.data_ptr()
    torch.testing.assert_close(out, transform.forward(x))


def test_long_signals_on_a_cpu_are_split():
    like = torch.empty(0)
    assert type(transform_for(1 << 17, like)) is Transform
    assert type(transform_for(1 << 19, like)) is SplitTransform


@given(st.integers(1, 5000))
def test_an_fft_length_is_enough_even_and_smooth(least):
    n = fft_length(least)
    assert n >= least
    assert n % 2 == 0
    for prime in (2, 3, 5):
        while n % prime == 0:
            n //= prime
    assert n == 1


def test_a_power_of_two_is_taken_if_it_is_little_longer():
    assert fft_length(1_960_000) == 1 << 21
    assert fft_length(1_950_000) == 1_966_080  # 2^17 · 3 · 5, more than 7 % below 2^21
