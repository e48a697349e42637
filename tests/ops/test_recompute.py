"""What is recomputed for the gradient is not kept, and the gradient is the same."""

import pytest
import torch

from megabase.model.backbone import Backbone
from megabase.model.config import HyenaDNAConfig
from megabase.model.hyena import Block, ImplicitFilter
from megabase.ops.backends import Engine
from megabase.ops.recompute import no_recomputation, recompute_saved


@pytest.mark.parametrize("is_off", [False, True])
def test_the_gradient_is_of_what_is_recomputed(is_off):
    a, w = torch.randn(3, 4), torch.randn(3, 4, requires_grad=True)
    made = []

    def make():
        made.append(1)
        return a * 2

    x = make()
    if is_off:
        with no_recomputation(), recompute_saved(x, make):
            y = (x[1:].t() * w[1:].t()).exp()
    else:
        with recompute_saved(x, make):
            y = (x[1:].t() * w[1:].t()).exp()
    y.sum().backward()
    assert len(made) == (1 if is_off else 2)
    expected = torch.zeros_like(w)
    expected[1:] = (2 * a * torch.exp(2 * a * w.detach()))[1:]
    torch.testing.assert_close(w.grad, expected)


@pytest.mark.parametrize(
    ("engine", "checkpointing", "times"),
    [("plain", False, 1), ("lean", False, 2), ("lean", True, 2)],
)
def test_norm_and_filter_are_made_as_often_as_it_pays(engine, checkpointing, times, monkeypatch):
    counts = {"norm": 0, "filter": 0}

    def count(owner, method, name):
        original = getattr(owner, method)

        def counted(*args):
            counts[name] += 1
            return original(*args)

        monkeypatch.setattr(owner, method, counted)

    count(Block, "_normed", "norm")
    count(ImplicitFilter, "forward", "filter")
    backbone = Backbone(HyenaDNAConfig(d_model=8, n_layer=1, max_seq_len=32)).train()
    backbone.engine, backbone.gradient_checkpointing = Engine(engine), checkpointing
    backbone(torch.randn(1, 32, 8, requires_grad=True))[-1].sum().backward()
    assert counts == {"norm": times, "filter": times}
