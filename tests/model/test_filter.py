"""The implicit filter is the same by pieces, and a shorter one is a prefix of a longer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from megabase.model.hyena import ImplicitFilter
from megabase.model.positions import PublishedShape, ScaleFreeShape
from megabase.ops import taps

SHAPES = {
    "published": lambda grid, n: PublishedShape(grid, 6 * n),
    "scale-free": lambda grid, n: ScaleFreeShape(grid, 6 * n, n),
}
both = pytest.mark.parametrize("family", SHAPES)


def toy(n_filters=1, grid=40, family="published", n_near_taps=0):
    torch.manual_seed(0)
    shape = SHAPES[family](grid, n_filters)
    filters = ImplicitFilter(n_filters, 6, shape, width=16, n_near_taps=n_near_taps)
    if n_near_taps:
        nn.init.normal_(filters.near)
    return filters


@both
@settings(deadline=None)
@given(length=st.integers(1, 40))
def test_a_shorter_filter_is_a_prefix_of_the_longest(family, length):
    filters = toy(family=family, n_near_taps=7)
    torch.testing.assert_close(filters(length), filters(40)[..., :length])


def test_each_filter_of_a_higher_order_has_its_own_channels():
    h = toy(n_filters=2)(20)
    assert h.shape == (2, 6, 20)
    assert not torch.allclose(h[0], h[1])


def test_the_sines_share_one_frequency_per_unit():
    filters = toy()
    assert [name for name, _ in filters.named_parameters() if "frequency" in name] == ["frequency"]
    before = filters(10)
    with torch.no_grad():
        filters.frequency[0, 3] += 1.0
    assert not torch.allclose(filters(10), before)


def test_the_network_runs_in_float32_under_autocast_and_with_half_weights():
    filters = toy()
    exact = filters(40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(filters(40), exact)
    assert filters.bfloat16()(40).dtype is torch.float32


def test_a_module_holds_parameters_only():
    assert not list(toy().buffers())


@both
def test_pieces_and_channels_are_those_of_the_whole(monkeypatch, family):
    filters = toy(n_filters=2, family=family, n_near_taps=9)
    whole = filters(40).flatten(0, 1)
    monkeypatch.setattr(taps, "_POSITIONS_AT_ONCE", 7)
    monkeypatch.setattr(taps, "_POSITIONS_IN_CACHE", 7)
    torch.testing.assert_close(filters(40).flatten(0, 1), whole)
    out = torch.empty(5, 40)
    with torch.no_grad():
        filters.write_taps(filters.features(40), slice(3, 8), out)
    torch.testing.assert_close(out, whole[3:8])


@pytest.mark.parametrize("length", [3, 7, 20])
def test_near_taps_are_added_to_the_first(length):
    """Check Eq. near-taps, and that each has the gradient of its tap."""
    filters = toy(n_filters=2, n_near_taps=7)
    expected = toy(n_filters=2)(length).flatten(0, 1)
    n = min(7, length)
    expected[:, :n] += filters.near[:, :n]
    h = filters(length)
    torch.testing.assert_close(h.flatten(0, 1), expected)
    weights = torch.randn_like(h)
    (h * weights).sum().backward()
    torch.testing.assert_close(filters.near.grad[:, :n], weights.flatten(0, 1)[:, :n])
    assert not filters.near.grad[:, n:].any()


@both
def test_an_adapter_on_the_network_is_not_bypassed(family):
    filters = toy(family=family, n_near_taps=3)
    before = filters(10)

    class Twice(nn.Linear):
        def forward(self, u):
            return 2 * super().forward(u)

    for index in (0, -1):
        changed = Twice(*reversed(filters.linears[index].weight.shape), bias=index == 0)
        changed.load_state_dict(filters.linears[index].state_dict())
        filters.linears[index] = changed
        after = filters(10)
        assert not torch.allclose(after, before)
        before = after


@pytest.mark.parametrize("index", [0, -1])
def test_a_map_of_another_class_that_does_the_same_gives_the_same_filter(index):
    filters = toy(n_near_taps=3)
    before = filters(10)

    class Same(nn.Linear):
        pass

    changed = Same(*reversed(filters.linears[index].weight.shape), bias=index == 0)
    changed.load_state_dict(filters.linears[index].state_dict())
    filters.linears[index] = changed
    torch.testing.assert_close(filters(10), before)
