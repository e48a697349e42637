"""A pass is timed and leaves the model as it was."""

import pytest
import torch

from megabase.model.footprint import seconds_per_token
from tests import toys


@pytest.mark.parametrize("training", [False, True])
def test_weights_and_gradients_stay(training):
    model = toys.model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert seconds_per_token(model, 50, training=training) > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training == training
