"""The implicit filter is the published one, and a shorter filter is a prefix of a longer."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from megabase.model import filter as filter_module
from megabase.model.filter import ImplicitFilter, decay_rates, positional_encoding

LIKE = torch.zeros((), dtype=torch.float64)


def toy(n_filters=1, grid=40):
    torch.manual_seed(0)
    return ImplicitFilter(n_filters, 6, grid=grid, width=16)


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
    window = toy().window(torch.tensor([0.0, 0.3], dtype=torch.float64))
    assert window[-1].tolist() == pytest.approx([1.05, 0.06])


@settings(deadline=None)
@given(length=st.integers(1, 40))
def test_a_shorter_filter_is_a_prefix_of_the_longest(length):
    filters = toy()
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


def test_pieces_and_channels_are_those_of_the_whole(monkeypatch):
    filters = toy(n_filters=2)
    whole = filters(40).flatten(0, 1)
    monkeypatch.setattr(filter_module, "_POSITIONS_AT_ONCE", 7)
    monkeypatch.setattr(filter_module, "_POSITIONS_IN_CACHE", 7)
    torch.testing.assert_close(filters(40).flatten(0, 1), whole)
    out = torch.empty(5, 40)
    with torch.no_grad():
        filters.write_taps(filters.features(40), slice(3, 8), out)
    torch.testing.assert_close(out, whole[3:8])


def test_an_adapter_on_the_network_is_not_passed_over():
    filters = toy()
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
    filters = toy()
    before = filters(10)

    class Same(nn.Linear):
        pass

    changed = Same(*reversed(filters.linears[index].weight.shape), bias=index == 0)
    changed.load_state_dict(filters.linears[index].state_dict())
    filters.linears[index] = changed
    torch.testing.assert_close(filters(10), before)
