"""The configuration of a run refuses what contradicts itself."""

import pytest

from megabase.run.config import read_config
from megabase.training.config import PretrainConfig


def config(*overrides):
    return read_config(PretrainConfig, overrides=["genome=asset:ecoli", *overrides])


def test_a_step_has_as_many_windows_as_fit_its_tokens():
    assert config("tokens_per_step=8192", "context_length=1024").windows_per_step == 8
    assert config("tokens_per_step=100", "context_length=1024").windows_per_step == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("preset=huge", "preset is one of tiny, small"),
        ("windows_per_pass=3", "must divide the 8 windows of a step"),
        ("context_length=1", "greater than or equal to 2"),
        ("device=cuda", "'auto' or 'cpu'"),
        ("split={test_contigs: [a], test_regions: b.bed}", "not both"),
        ("split={validation_contigs: [a], validation_regions: b.bed}", "not both"),
        ("split.test_fraction=1", "less than 1"),
    ],
)
def test_what_cannot_be_is_an_error(override, message):
    with pytest.raises(ValueError, match=message):
        config(override)


def test_every_key_says_what_it_is():
    for name, field in PretrainConfig.model_fields.items():
        assert field.description, name
