"""Parameters are counted exactly, memory grows with what it grows with."""

import pytest

from megabase.model.config import HyenaDNAConfig
from megabase.model.cost import inference_bytes, n_parameters


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


def test_memory_is_weights_and_a_share_of_every_token():
    config = HyenaDNAConfig.from_preset("tiny", 1024)
    one, two = inference_bytes(config, 1000), inference_bytes(config, 2000)
    weights = 4 * n_parameters(config)
    assert two - weights == 2 * (one - weights)
    assert inference_bytes(config, 1000, batch=2) == two
