"""The Hyena operator is the one of the papers, is causal, and refuses with a reason."""

import pytest
import torch
from torch import nn

from megabase.model.hyena import HyenaOperator
from megabase.ops.definition import causal_conv

LENGTH = 32


class Taps(nn.Module):
    """A filter of constant taps."""

    def __init__(self, n_filters, d_model):
        super().__init__()
        taps = torch.randn(n_filters, d_model, LENGTH, generator=torch.Generator().manual_seed(0))
        self.taps = nn.Parameter(taps)

    def forward(self, length):
        return self.taps[..., :length]


def operator(order):
    torch.manual_seed(0)
    return HyenaOperator(8, Taps(order - 1, 8), order=order).double()


@pytest.mark.parametrize("order", [2, 3])
def test_is_definition_3_1_with_an_impulse_as_the_first_filter(order):
    op = operator(order)
    v, gates = op.project(torch.randn(2, LENGTH, 8, dtype=torch.float64))
    impulse = torch.zeros(1, 8, LENGTH, dtype=torch.float64)
    impulse[..., 0] = 1.0
    h = torch.cat([impulse, op.filters(LENGTH)])
    d = torch.cat([torch.zeros(1, 8, dtype=torch.float64), op.skip.view(-1, 8)])
    z = v
    for n in range(order):
        z = gates[n] * causal_conv(z, h[n], d[n])
    torch.testing.assert_close(op.mix(v, gates, op.filters(LENGTH)), z)


def test_the_gate_stored_first_acts_last():
    op = operator(2)
    u = torch.randn(1, LENGTH, 8, dtype=torch.float64)
    _, before = op.project(u)
    with torch.no_grad():
        op.in_proj.bias[:8] += 1.0
    _, after = op.project(u)
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1])


@pytest.mark.parametrize("order", [2, 3])
def test_output_at_a_token_ignores_later_tokens(order):
    op = operator(order)
    u = torch.randn(1, LENGTH, 8, dtype=torch.float64)
    changed = u.clone()
    changed[:, 20:] = 0.0
    torch.testing.assert_close(op(u)[:, :20], op(changed)[:, :20])
    assert not torch.allclose(op(u)[:, 20:], op(changed)[:, 20:])


def test_a_shorter_sequence_gives_the_first_part_of_the_answer():
    op = operator(2)
    u = torch.randn(1, LENGTH, 8, dtype=torch.float64)
    torch.testing.assert_close(op(u[:, :11]), op(u)[:, :11])


def test_order_below_two_is_an_error():
    with pytest.raises(ValueError, match=r"order must be at least 2 .* got 1"):
        HyenaOperator(8, Taps(0, 8), order=1)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_not_seen(order, side):
    op = operator(order)
    u = torch.randn(1, 20, 8, dtype=torch.float64)
    padding = torch.randn(1, 7, 8, dtype=torch.float64)
    real = torch.ones(1, 20, dtype=torch.bool)
    no = torch.zeros(1, 7, dtype=torch.bool)
    parts, masks = ([padding, u], [no, real]) if side == "left" else ([u, padding], [real, no])
    mask = torch.cat(masks, dim=1)
    padded = op(torch.cat(parts, dim=1), mask)
    torch.testing.assert_close(padded[mask], op(u)[0])
