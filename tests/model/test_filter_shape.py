"""The published shape by hand; the scale-free one by hand, and what it does not depend on."""

import math
from functools import partial

import pytest
import torch

from megabase.model.positions import (
    PublishedShape,
    ScaleFreeShape,
    decay_rates,
    positional_encoding,
)

LIKE = torch.zeros((), dtype=torch.float64)


def test_positional_encoding_by_hand():
    """Check Eq. positional-encoding at a few positions of a grid of 5."""
    z = positional_encoding(range(3), 5, 5, LIKE)
    slow, fast = 1e-4 * 2 * math.pi / 5, 2 * math.pi / 5
    expected = torch.tensor(
        [0.25, math.cos(slow), math.cos(fast), -math.sin(slow), -math.sin(fast)]
    )
    torch.testing.assert_close(z[1], expected.double())
    torch.testing.assert_close(z[0], torch.tensor([0.0, 1, 1, 0, 0]).double())


def test_window_by_hand():
    """Check Eq. window: the slowest channel falls to 0.01 at 1.5, the fastest at 0.3."""
    rates = decay_rates(4, LIKE)
    torch.testing.assert_close(
        rates[[0, -1]], torch.tensor([-3.0701, -15.3506]).double(), atol=1e-4, rtol=0
    )
    window = PublishedShape(11, 6).window(range(4), LIKE)
    assert window[-1, [0, 3]].tolist() == pytest.approx([1.05, 0.06])


def test_the_scale_free_features_by_hand():
    """Check Eq. scale-free-encoding: on a grid of 15, position 3 is half the way, 15 all of it."""
    z = ScaleFreeShape(15, 1, emb_dim=5).features(range(16), LIKE)
    torch.testing.assert_close(z[0], torch.tensor([0.0, 1, 1, 0, 0]).double())
    torch.testing.assert_close(z[1], torch.tensor([0.25, 0, -1, 1, 0]).double())
    torch.testing.assert_close(z[3], torch.tensor([0.5, -1, 1, 0, 0]).double())
    torch.testing.assert_close(z[15], torch.tensor([1.0, 1, 1, 0, 0]).double())


def test_the_scale_free_window_by_hand():
    """Check Eq. scale-free-window: reaches 4, 8 and 16 of a grid of 16."""
    of_16 = partial(ScaleFreeShape, 16, 6, n_filters=2, amplitude=3.0, longest_reach=1.0)
    shape = of_16(exponent=0.5)
    torch.testing.assert_close(shape.reaches(LIKE), torch.tensor([4.0, 8, 16] * 2).double())
    window = shape.window(range(9), LIKE, slice(1, 4))
    assert window[0, [0, 8]].tolist() == pytest.approx([3 / 8**0.5, 3 / 8**0.5 / math.e])
    assert window[2, 4].item() == pytest.approx(3 / 2 / math.e)
    flat = of_16(exponent=1.0).window(range(9), LIKE)
    assert flat[1, [0, 8]].tolist() == pytest.approx([3 / 8, 3 / 8 / math.e])


def test_by_default_a_window_reaches_to_a_quarter_and_has_a_sum_of_nearly_one():
    shape = ScaleFreeShape(4096, 3)
    torch.testing.assert_close(shape.reaches(LIKE), torch.tensor([4.0, 64, 1024]).double())
    sums = shape.window(range(4096), LIKE).sum(dim=1)
    assert sums.tolist() == pytest.approx([1.13, 1.01, 0.98], abs=0.01)


def test_a_window_never_underflows_and_is_nothing_long_before_it_would():
    window = ScaleFreeShape(100_000, 8).window(range(100_000), LIKE.float())
    assert window.min() >= torch.finfo(torch.float32).tiny
    j = torch.arange(100_000.0)
    torch.testing.assert_close(window[0], torch.exp(-j / 4) / 4, rtol=1e-5, atol=1e-26)


def test_a_longer_grid_does_not_blur_what_is_near():
    """Features of neighbours differ as much on any grid; published ones, ever less."""

    def step(shape):
        z = shape.features(range(10, 12), LIKE)
        return (z[1] - z[0]).norm().item()

    near, far = ScaleFreeShape(1_000, 1), ScaleFreeShape(1_000_000, 1)
    assert step(far) > 0.4 * step(near)
    assert step(PublishedShape(1_000_000, 1)) < 0.002 * step(PublishedShape(1_000, 1))


def test_a_grid_below_the_shortest_reach_has_one_reach():
    assert ScaleFreeShape(2, 3).reaches(LIKE).tolist() == pytest.approx([4.0, 4.0, 4.0])
