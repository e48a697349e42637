"""The loss by chunks is the loss by definition, and so is its gradient."""

import pytest
import torch
from torch.nn import functional

from megabase.model import language as loss
from megabase.model.language import next_token_loss, target_weights

LABELS = torch.tensor([[7, 8, -100, 9, 10, 7], [-100, -100, 7, 7, 8, 9]])
WEIGHTS = torch.rand(2, 6, generator=torch.Generator().manual_seed(1))


def states(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 6, 8, generator=generator, requires_grad=True)


def by_definition(hidden, head, weights):
    losses = functional.cross_entropy(
        (hidden[:, :-1] @ head.T).transpose(1, 2), LABELS[:, 1:], reduction="none"
    )
    counted = weights[:, 1:] * (LABELS[:, 1:] != -100)
    return (losses * counted).sum() / counted.sum()


@pytest.mark.parametrize("chunk", [1, 5, 100])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_it_is_the_weighted_mean_over_targets(monkeypatch, chunk, weights):
    monkeypatch.setattr(loss, "_CHUNK", chunk)
    head = torch.randn(12, 8, requires_grad=True)
    one, other = states(), states()
    found = next_token_loss(one, head, LABELS, weights=weights)
    expected = by_definition(other, head, torch.ones(2, 6) if weights is None else weights)
    torch.testing.assert_close(found, expected)
    found.backward()
    gradient, head.grad = head.grad, None
    expected.backward()
    torch.testing.assert_close(one.grad, other.grad)
    torch.testing.assert_close(gradient, head.grad)


def test_without_targets_it_is_zero():
    none = torch.full_like(LABELS, -100)
    assert next_token_loss(states(), torch.randn(12, 8), none) == 0


def test_parts_add_up_to_the_whole():
    head, hidden = torch.randn(12, 8), states()
    n = target_weights(LABELS, None).sum()
    parts = [
        next_token_loss(hidden[i : i + 1], head, LABELS[i : i + 1], n_targets=n) for i in (0, 1)
    ]
    torch.testing.assert_close(sum(parts), next_token_loss(hidden, head, LABELS))
