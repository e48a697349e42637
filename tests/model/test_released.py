"""Names are translated in both directions, and nothing is dropped that says something."""

import json

import pytest
import torch

from megabase.model.config import HyenaDNAConfig
from megabase.model.released import (
    PREFIXES,
    config_to_hf,
    from_published,
    keys_of_original,
    name_pairs,
    to_published,
)
from tests import toys

MODEL = toys.model()
CONFIG = MODEL.config
OURS = MODEL.state_dict()
FILTER = "hyena.backbone.layers.1.mixer.filter_fn"
ORIGINAL = {
    "d_model": 128, "n_layer": 2, "d_inner": 512, "vocab_size": 12, "resid_dropout": 0.0,
    "embed_dropout": 0.1, "fused_mlp": False, "fused_dropout_add_ln": True,
    "residual_in_fp32": True, "pad_vocab_size_multiple": 8, "return_hidden_state": True,
    "layer": {
        "_name_": "hyena", "emb_dim": 5, "filter_order": 64, "local_order": 3, "l_max": 1026,
        "modulate": True, "w": 10, "lr": 6e-4, "wd": 0.0, "lr_pos_emb": 0.0,
    },
}  # fmt: skip


def published():
    return to_published(OURS, CONFIG, "hf")


@pytest.mark.parametrize("layout", PREFIXES)
def test_names_go_there_and_back(layout):
    back = from_published(to_published(OURS, CONFIG, layout), CONFIG, "there")
    assert back.keys() == OURS.keys()
    assert all(torch.equal(back[name], OURS[name]) for name in OURS)


def test_each_parameter_has_one_published_name():
    pairs = name_pairs(CONFIG)
    assert len(set(pairs.values())) == len(pairs) == len(OURS)


def test_a_missing_tensor_is_an_error():
    tensors = published()
    del tensors[f"{FILTER}.bias"]
    with pytest.raises(ValueError, match=r"lacks 1 tensors, the first: .*layers.1.*filter_fn.bias"):
        from_published(tensors, CONFIG, "file")


def test_an_extra_tensor_is_an_error():
    tensors = published() | {"hyena.backbone.layers.7.norm1.weight": torch.zeros(8)}
    with pytest.raises(ValueError, match=r"unknown in a HyenaDNA model .*: layers.7.norm1.weight"):
        from_published(tensors, CONFIG, "file")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (f"{FILTER}.pos_emb.z", "a trained grid"),
        (f"{FILTER}.pos_emb.t", "a trained grid"),
        (f"{FILTER}.modulation.deltas", "a trained grid"),
        ("lm_head.weight", "not tied"),
    ],
)
def test_a_tensor_that_differs_from_what_we_compute_or_tie_is_an_error(name, why):
    tensors = published()
    tensors[name] = tensors[name] + 0.01
    with pytest.raises(ValueError, match=f"differs by 0.01.*{why}"):
        from_published(tensors, CONFIG, "file")


@pytest.mark.parametrize("layer", [3, 5])
def test_an_alias_of_the_frequency_must_be_equal(layer):
    alias = f"{FILTER}.implicit_filter.{layer}.freq"
    equal = OURS["backbone.blocks.1.mixer.filters.frequency"]
    assert from_published(published() | {alias: equal}, CONFIG, "file").keys() == OURS.keys()
    with pytest.raises(ValueError, match="not tied"):
        from_published(published() | {alias: equal + 1e-6}, CONFIG, "file")


def test_training_metrics_are_ignored():
    tensors = published() | {"val_torchmetrics.accuracy": torch.zeros(())}
    assert from_published(tensors, CONFIG, "file").keys() == OURS.keys()


def test_a_grid_of_another_length_is_an_error():
    longer = HyenaDNAConfig(**(CONFIG.to_diff_dict() | {"max_seq_len": 130}))
    with pytest.raises(ValueError, match=r"has shape \(1, 66, 5\), expected \(1, 130, 5\)"):
        from_published(published(), longer, "file")


def test_an_original_configuration_is_read():
    config = HyenaDNAConfig(**keys_of_original(ORIGINAL, "config.json"))
    assert (config.max_seq_len, config.short_filter_order, config.activation_freq) == (1026, 3, 10)
    assert (config.d_inner, config.embed_dropout, config.hyena_order) == (512, 0.1, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_modle": 3}, "unknown key 'd_modle'"),
        ({"resid_dropout": 0.1}, "resid_dropout must be 0.0; got 0.1"),
        ({"layer": ORIGINAL["layer"] | {"bidirectional": True}}, "layer: unknown key 'bidirect"),
        ({"layer": ORIGINAL["layer"] | {"lr_pos_emb": 1e-5}}, "lr_pos_emb must be 0.0; got 1e-05"),
        ({"layer": ORIGINAL["layer"] | {"modulate": False}}, "modulate must be True; got False"),
    ],
)
def test_an_original_configuration_that_is_not_ours_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        HyenaDNAConfig(**keys_of_original(ORIGINAL | change, "config.json"))


def test_the_released_configurations_are_read(shared):
    for name, context in (("tiny-1k", 1024), ("small-32k", 32_768)):
        text = (shared / "published_configs" / f"{name}_config.json").read_text()
        assert HyenaDNAConfig(**keys_of_original(json.loads(text), name)).context_length == context


def test_an_hf_configuration_is_read_back_as_the_same():
    keys = config_to_hf(CONFIG)
    assert (
        HyenaDNAConfig(**keys).to_diff_dict()
        == HyenaDNAConfig(
            **CONFIG.to_diff_dict(), architectures=keys["architectures"]
        ).to_diff_dict()
    )


@pytest.mark.parametrize("layout", ["hf", "lightning"])
@pytest.mark.parametrize("keys", [toys.SCALE_FREE, {"n_near_taps": 3}])
def test_a_filter_that_was_not_published_has_no_place_in_a_published_layout(layout, keys):
    made = toys.model(**keys)
    with pytest.raises(ValueError, match=r"released layout can only hold .* with [53] near taps"):
        to_published(made.state_dict(), made.config, layout)


@pytest.mark.parametrize("keys", [{"hyena_order": 3}, {"filter_shift": 0.0}])
def test_what_the_hf_layout_cannot_say_is_an_error(keys):
    with pytest.raises(ValueError, match="the -hf layout can only hold"):
        config_to_hf(toys.config(**keys))
