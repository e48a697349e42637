"""The models of the experiments can be built, and their mixers are causal."""

from contextlib import nullcontext

import pytest
import torch
from context import RUNS
from filters import OURS, VARIANTS
from mixers import MIXERS, with_mixers

from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import n_parameters
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.runtime.config_file import read_config
from megabase.training.run_config import PretrainConfig
from tests import toys

N_OURS = n_parameters(HyenaDNAConfig.from_preset(OURS, 1024))
DEAD = {"taps-and-far": "backbone.blocks.0.mixer.filters"}  # only near taps: its window is 0


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_model_of_nearly_the_same_size(name):
    preset, architecture = VARIANTS[name]
    config = HyenaDNAConfig.from_preset(preset, 1024, **architecture)
    with with_mixers(name) if name in MIXERS else nullcontext(), torch.device("meta"):
        n = sum(parameter.numel() for parameter in HyenaDNAForCausalLM(config).parameters())
    most = 1.05 if "256" not in name and "512" not in name else 1.3
    assert 0.94 < n / N_OURS < most


@pytest.mark.parametrize("name", RUNS)
def test_every_run_of_context_is_a_valid_configuration(name):
    preset, keys = RUNS[name]
    given = {"preset": preset, "genomes": {"one": {"path": "one.fa"}}, "start_length": 1024}
    sets = [f"{key}={value}" for key, value in keys.items()]
    config = read_config(PretrainConfig, options=given, overrides=sets)
    assert (config.start_length is None) == ("warm-up" in name)


@pytest.mark.parametrize("name", MIXERS)
def test_mixers_are_causal_and_all_their_weights_get_gradients(name):
    keys = toys.SCALE_FREE | {"d_model": 32, "max_seq_len": 1_100}
    torch.manual_seed(0)
    with with_mixers(name):
        model = toys.model(**keys)
    tokens = toys.tokens(2, 90)
    model(tokens, labels=tokens).loss.backward()
    dead = {name for name, each in model.named_parameters() if not each.grad.any()}
    assert all(key.startswith(DEAD.get(name, "none")) for key in dead)
    changed = tokens.clone()
    changed[:, 60:] = 7
    with torch.no_grad():
        before, after = model(tokens).logits, model(changed).logits
    torch.testing.assert_close(before[:, :60], after[:, :60])
    assert not torch.allclose(before[:, 60:], after[:, 60:])


def test_each_layer_has_the_named_mixer():
    with with_mixers("attention-first"):
        model = HyenaDNAForCausalLM(toys.config(d_model=32, **toys.SCALE_FREE))
    kinds = [type(block.mixer).__name__ for block in model.backbone.blocks]
    assert kinds == ["Attention", "HyenaOperator"]
    assert type(HyenaDNAForCausalLM(toys.config()).backbone.blocks[0].mixer) is type(
        model.backbone.blocks[1].mixer
    )
