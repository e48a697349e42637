"""The configuration keeps the published keys and refuses invalid models."""

import pytest
import torch

from megabase.model.architecture import PRESETS
from megabase.model.config import HyenaDNAConfig
from megabase.model.modeling import HyenaDNAForCausalLM
from tests import toys


def test_defaults_are_the_released_tiny_model():
    config = HyenaDNAConfig()
    assert (config.d_model, config.n_layer, config.d_inner, config.max_seq_len) == (
        128,
        2,
        512,
        1026,
    )
    assert (config.emb_dim, config.filter_order, config.activation_freq) == (5, 64, 10.0)


def test_names_of_hugging_face_lead_to_the_published_keys():
    config = HyenaDNAConfig(hidden_size=64, num_hidden_layers=3)
    assert (config.d_model, config.n_layer, config.intermediate_size) == (64, 3, 256)
    assert config.max_position_embeddings == config.max_seq_len


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stores_two_positions_more_than_its_context(name):
    config = HyenaDNAConfig.from_preset(name, 4096)
    assert config.max_seq_len == 4098
    assert config.context_length == 4096


def test_our_presets_have_our_filter_and_the_released_ones_the_published():
    ours = HyenaDNAConfig.from_preset("tiny", 1024)
    theirs = HyenaDNAConfig.from_preset("hyenadna-2x128", 1024)
    assert (ours.filter_family, ours.n_near_taps) == ("scale-free", 64)
    assert theirs.to_diff_dict() == HyenaDNAConfig().to_diff_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"near_taps": 3},
            "unknown key 'near_taps' of the architecture; did you mean 'n_near_taps'",
        ),
        ({"x": 3}, r"unknown key 'x' of the architecture; known keys are \['activation_freq'"),
        (
            {"filter_shift": 0.1},
            "filter_shift is for published filters only, and this filter is scale-fr",
        ),
        ({"n_near_taps": 1.5}, "n_near_taps must be an integer, got 1.5"),
        ({"max_seq_len": 1025}, "1,024 tokens needs max_seq_len of at least 1,026, got 1,025"),
    ],
)
def test_known_keys_of_a_preset_may_be_changed(changes, message):
    config = HyenaDNAConfig.from_preset("tiny", 1024, n_near_taps=3, max_seq_len=5000)
    assert (config.n_near_taps, config.max_seq_len, config.d_model) == (3, 5000, 128)
    with pytest.raises(ValueError, match=message):
        HyenaDNAConfig.from_preset("tiny", 1024, **changes)


def test_keys_of_our_filter_are_not_of_the_published_one():
    with pytest.raises(
        ValueError, match="shortest_reach is for scale-free filters only, and this filter"
    ):
        HyenaDNAConfig.from_preset("hyenadna-2x128", 1024, shortest_reach=9.0)


def test_a_short_context_has_no_more_near_taps_than_positions():
    assert HyenaDNAConfig.from_preset("tiny", 30).n_near_taps == 32


@pytest.mark.parametrize(
    "key", ["filter_shift", "shortest_reach", "longest_reach", "filter_amplitude",
            "amplitude_exponent", "emb_dim", "n_near_taps", "activation_freq", "filter_order",
            "num_inner_mlps", "max_seq_len"],
)  # fmt: skip
def test_every_key_of_a_filter_changes_it(key):
    family = {} if key == "filter_shift" else toys.SCALE_FREE
    plain = toys.config(**family)
    changed = toys.config(**family | {key: 2 * getattr(plain, key) + (key == "emb_dim")})
    filters = []
    for config in (plain, changed):
        torch.manual_seed(0)
        made = HyenaDNAForCausalLM(config).backbone.blocks[0].mixer.filters
        if made.near is not None:
            torch.nn.init.ones_(made.near)
        filters.append(made(20))
    assert not torch.allclose(*filters)


def test_the_embedding_has_a_multiple_of_rows():
    assert HyenaDNAConfig().n_embedding_rows == 16
    assert HyenaDNAConfig(vocab_size=16).n_embedding_rows == 16
    assert HyenaDNAConfig(vocab_size=17).n_embedding_rows == 24


def test_a_configuration_survives_its_file(tmp_path):
    config = HyenaDNAConfig(d_model=32, filter_shift=0.0, max_seq_len=130)
    config.save_pretrained(tmp_path)
    assert HyenaDNAConfig.from_pretrained(tmp_path).to_diff_dict() == config.to_diff_dict()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"hyena_order": 1}, "hyena_order must be at least 2"),
        ({"d_model": 0}, "d_model must be at least 1"),
        ({"pad_vocab_size_multiple": 0}, "pad_vocab_size_multiple must be at least 1"),
        ({"emb_dim": 4}, "emb_dim must be odd"),
        (
            {"filter_family": "long"},
            "filter_family must be one of published, scale-free; got 'long'",
        ),
        ({"n_near_taps": -1}, r"n_near_taps must be from 0 to max_seq_len \(1,026\); got -1"),
        ({"n_near_taps": 1027}, r"n_near_taps must be from 0 to max_seq_len \(1,026\); got 1,027"),
        (
            {"filter_family": "scale-free", "emb_dim": 23},
            "scale-free filter must be at most 21, got 23",
        ),
        ({"filter_amplitude": float("inf")}, "filter_amplitude must be a finite number, got inf"),
        ({"num_inner_mlps": -1}, "num_inner_mlps must not be negative, got -1"),
        ({"initializer_range": -0.1}, "initializer_range must not be negative, got -0.1"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon must be above 0, got 0.0"),
        ({"embed_dropout": 1.5}, "embed_dropout must be from 0 to 1, got 1.5"),
        ({"head_dropout": -0.1}, "head_dropout must be from 0 to 1, got -0.1"),
        ({"prompt_dropout": 100.0}, "prompt_dropout must be from 0 to 1, got 100.0"),
        ({"initializer_gain": float("inf")}, "initializer_gain must be a finite number, got inf"),
        ({"initializer_gain": 0.0}, "initializer_gain must be above 0, got 0.0"),
        ({"max_seq_len": 2}, "max_seq_len must be above 2"),
        ({"hyena_dropout": 0.1}, "hyena_dropout must be 0.0"),
        ({"layer": {"l_max": 66}}, "original release"),
    ],
)
def test_numbers_without_a_model_are_errors(keys, message):
    with pytest.raises(ValueError, match=message):
        HyenaDNAConfig(**keys)


@pytest.mark.parametrize(("name", "context"), [("huge", 1024), ("tiny", 0)])
def test_an_unknown_preset_or_no_context_is_an_error(name, context):
    with pytest.raises(ValueError, match=r"preset must be one of tiny|at least 1 token"):
        HyenaDNAConfig.from_preset(name, context)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"d_model": "x"}, "d_model must be an integer, got 'x'"),
        ({"hyena_order": None}, "hyena_order must be an integer, got None"),
        ({"d_model": 1e9}, "d_model must be an integer"),
        ({"activation_freq": "fast"}, "activation_freq must be a number"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error(keys, message):
    with pytest.raises(ValueError, match=message):
        HyenaDNAConfig(**keys)
