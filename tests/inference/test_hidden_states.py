"""A layer by number is the state that the model gives with all of them."""

import pytest
import torch

from megabase.errors import InputError
from megabase.inference.hidden import hidden_states
from megabase.ops.backends import Engine
from tests import toys


@pytest.mark.parametrize("engine", ["plain", "lean", "streamed"])
def test_each_layer_is_that_of_output_hidden_states(engine):
    model = toys.model(n_layer=3)
    model.backbone.engine = Engine(engine)
    tokens = toys.tokens(2, 33)
    with torch.no_grad():
        states = model(tokens, output_hidden_states=True).hidden_states
    assert len(states) == 4
    for layer, state in enumerate(states):
        assert torch.equal(hidden_states(model, tokens, layer=layer), state)
    assert torch.equal(hidden_states(model, tokens), states[-1])


@pytest.mark.parametrize("engine", ["lean", "streamed"])
def test_a_layer_costs_the_blocks_up_to_it(engine):
    model = toys.model(n_layer=3)
    model.backbone.engine = Engine(engine)
    for block in list(model.backbone.blocks)[2:]:
        for parameter in block.parameters():
            parameter.data.fill_(torch.nan)
    assert hidden_states(model, toys.tokens(1, 9), layer=2).isfinite().all()
    assert hidden_states(model, toys.tokens(1, 9), layer=3).isnan().any()


@pytest.mark.parametrize("layer", [-1, 3])
def test_an_invalid_layer_is_an_error(layer):
    with pytest.raises(InputError, match=rf"from 0 \(the embedding\) to 2 .* got {layer}"):
        hidden_states(toys.model(), toys.tokens(1, 9), layer=layer)
