"""Folded weights compute what the modules compute whose parameters were folded."""

import torch
from torch import nn
from torch.nn import functional

from megabase.ops.folding import LayerWeights, fold_norm
from megabase.ops.short_conv import without_edge


def test_a_map_with_its_norm_folded_in_takes_what_is_only_centred_and_scaled():
    norm, linear = nn.LayerNorm(8).double(), nn.Linear(8, 5).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    r = torch.randn(7, 8, dtype=torch.float64)
    weight, bias = fold_norm(norm.weight, norm.bias, linear.weight, linear.bias)
    centred = functional.layer_norm(r, (8,), eps=norm.eps)
    torch.testing.assert_close(functional.linear(centred, weight, bias), linear(norm(r)))


def test_a_bias_is_folded_into_the_short_filter_once():
    t = torch.randn(6, 2)
    weights = LayerWeights(
        t, t[:, 0], without_edge(t, t[:, 1]), t, t[:, 0], t, t[:, 0], t.t(), t[0]
    )
    folded = weights.with_bias_in_short()
    assert folded.project_bias is None
    assert not torch.equal(folded.short.bias, weights.short.bias)
    assert folded.with_bias_in_short() is folded
