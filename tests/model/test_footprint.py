"""Parameters are counted exactly, memory grows with what it grows with."""

import pytest

from megabase.model import memory_mixer
from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import (
    generation_bytes,
    inference_bytes,
    n_parameters,
    seconds_per_token,
    training_bytes,
)
from megabase.model.memory_mixer import memory_rules, reading_bytes, tables_bytes
from megabase.ops import gated_conv
from megabase.ops.native_memory import native_memory_bytes
from megabase.ops.recompute import KEPT_INSIDE
from tests import toys


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        ("hyenadna-2x128", 436_096),
        ("hyenadna-2x256", 1_641_088),
        ("hyenadna-4x128", 869_888),
        ("hyenadna-4x256", 3_277_568),
        ("hyenadna-8x256", 6_550_528),
    ],
)
def test_parameters_of_the_published_sizes(preset, published):
    assert n_parameters(HyenaDNAConfig.from_preset(preset, 1024)) == published
    assert n_parameters(HyenaDNAConfig.from_preset(preset, 1_000_000)) == published


@pytest.mark.parametrize(
    ("preset", "counted"),
    [
        ("tiny", 452_992),
        ("small", 3_344_128),
        ("large", 6_683_648),
        ("40m", 38_812_416),
        ("140m", 144_117_504),
        ("400m", 408_006_656),
        ("1b", 1_028_083_968),
    ],
)
def test_parameters_of_our_sizes(preset, counted):
    config = HyenaDNAConfig.from_preset(preset, 1024)
    assert n_parameters(config) == counted
    d, layers = config.d_model, config.n_layer
    # embedding; per block: norms, projections and MLP, short convolution, skip, filter; last norm
    filters = 9 * 64 + 64 + 2 * (64 * 64 + 64) + 64 * d + 64 + 64 * d
    block = 4 * d + (12 * d * d + 9 * d) + 12 * d + d + filters
    assert counted == 16 * d + layers * block + 2 * d


@pytest.mark.parametrize("checkpointing", [False, True])
def test_memory_of_training_grows_with_depth_width_length_and_batch(checkpointing):
    def gib(preset, length, batch=1):
        config = HyenaDNAConfig.from_preset(preset, 1024)
        return training_bytes(config, length, batch=batch, checkpointing=checkpointing)

    assert gib("tiny", 8192) < gib("tiny", 32_768) == gib("tiny", 8192, batch=4)
    assert gib("tiny", 8192) < gib("small", 8192) < gib("large", 8192)
    config = HyenaDNAConfig.from_preset("large", 1024)
    whole = training_bytes(config, 100_000, checkpointing=False)
    assert 1.5 * training_bytes(config, 100_000, checkpointing=True) < whole


def test_inner_channels_that_are_kept_are_counted_and_those_recomputed_are_not():
    config = HyenaDNAConfig.from_preset("tiny", 1024)
    most = KEPT_INSIDE // config.d_inner  # pyright: ignore[reportOperatorIssue]
    kept = training_bytes(config, most) - training_bytes(config, most + 1)
    assert kept == pytest.approx(2 * 2 * 4 * KEPT_INSIDE, rel=0.001)


def test_convolutions_that_are_kept_are_counted(monkeypatch):
    config = HyenaDNAConfig.from_preset("tiny", 1024)
    whole, n_layers = training_bytes(config, 2000, batch=3), 2
    kept = gated_conv.n_kept(3, config.d_model, 2000)
    monkeypatch.setattr(gated_conv, "KEPT_NUMBERS", kept - 1)
    assert kept > 0
    assert whole - training_bytes(config, 2000, batch=3) == 4 * n_layers * kept


def test_memory_without_tiles_is_weights_and_a_share_of_every_token():
    config = HyenaDNAConfig.from_preset("tiny", 1024)

    def bytes_of(length, batch=1):
        return inference_bytes(config, length, batch=batch, streamed=False)

    weights = 4 * n_parameters(config)
    assert bytes_of(2000) - weights == 2 * (bytes_of(1000) - weights)
    assert bytes_of(1000, batch=2) == bytes_of(2000)


MEMORY = {"memory_orders": [2, 4, 8, 11, 16, 24], "pointer_orders": [12, 20]}


def test_the_network_of_a_memory_is_counted():
    d, width, n = 128, 256, 7 * 6 + 19
    plain = n_parameters(HyenaDNAConfig.from_preset("tiny", 1024))
    config = HyenaDNAConfig.from_preset("tiny", 1024, **MEMORY)
    network = width * (d + 1) + n * width + width // 2 * (width + 1) + d * (width // 2 + 1)
    assert n_parameters(config) == plain + network + n * d


@pytest.mark.parametrize("streamed", [False, True])
def test_features_of_a_memory_are_held_at_inference(streamed):
    length, n = 100_000, 7 * 6 + 19
    plain, config = (HyenaDNAConfig.from_preset("large", length, **keys) for keys in ({}, MEMORY))
    of_network = 4 * (n_parameters(config) - n_parameters(plain))
    of_both = [inference_bytes(each, length, streamed=streamed) for each in (plain, config)]
    tables = tables_bytes(config, length)
    assert of_both[1] - of_both[0] == 2 * n * length + of_network + tables


def test_where_the_tables_of_a_memory_are_larger_they_are_the_peak_of_inference():
    length = 1_000_000
    config = HyenaDNAConfig.from_preset("hyenadna-2x128", length, **MEMORY)
    rules = memory_rules(config)
    assert rules is not None
    weights = 4 * n_parameters(config)
    reading = 4 * 128 * length + 2 * rules.n_features * length + native_memory_bytes(rules, length)
    assert reading_bytes(config, length) == reading
    assert inference_bytes(config, length) >= weights + reading
    with pytest.raises(ValueError, match=r"memory of 1 x 1,000,000 tokens needs at least"):
        inference_bytes(config, length, max_bytes=reading - 1)


def test_a_memory_is_counted_in_training_and_generation():
    length = 8192
    plain, config = (HyenaDNAConfig.from_preset("small", length, **keys) for keys in ({}, MEMORY))
    n_tokens, n, width = 2 * length, 7 * 6 + 19, 256
    network = n_parameters(config) - n_parameters(plain)
    more = training_bytes(config, length, batch=2) - training_bytes(plain, length, batch=2)
    assert more == 16 * network + n_tokens * (6 * n + 4 * (config.d_model + 3 * width))
    rules = memory_rules(config)
    assert rules is not None
    more = generation_bytes(config, 500, 500, batch=3) - generation_bytes(plain, 500, 500, batch=3)
    assert more == 8 * network + 3 * native_memory_bytes(rules, 1000)


def test_the_time_of_a_token_includes_the_memory(monkeypatch):
    read = []
    computed = memory_mixer.memory_features

    def counted(rules, odds, letters, **keys):
        read.append(letters)
        return computed(rules, odds, letters, **keys)

    monkeypatch.setattr(memory_mixer, "memory_features", counted)
    assert seconds_per_token(toys.model(**toys.MEMORY), 64) > 0
    assert {letters.shape for letters in read} == {(1, 64)}
    assert len(set(read[0][0].tolist())) == 4  # a single repeated letter would be all pointers


def test_in_tiles_a_million_tokens_take_a_quarter():
    config = HyenaDNAConfig.from_preset("large", 1_000_000)
    whole = inference_bytes(config, 1_000_000, streamed=False)
    assert 4 * inference_bytes(config, 1_000_000) < whole
    tight = inference_bytes(config, 1_000_000, max_bytes=3 * 2**30)
    assert tight <= 3 * 2**30 + 4 * n_parameters(config)
