"""The configuration of a run refuses what contradicts itself."""

import pytest

from megabase.runtime.config_file import read_config
from megabase.training.run_config import PretrainConfig


def config(*overrides):
    return read_config(PretrainConfig, overrides=["genome=asset:ecoli", *overrides])


def test_a_single_genome_is_named_by_its_file():
    assert list(config().sources()) == ["ecoli"]
    assert list(config("genome=data/sacCer3.fa.gz").sources()) == ["sacCer3"]


def test_a_genome_has_its_own_split_or_that_of_the_run():
    genomes = "genomes={a: {path: a.fa}, b: {path: b.fa, split: {test_fraction: 0.3}}}"
    found = config("genome=null", genomes, "split.test_fraction=0.2").sources()
    assert [genome.split.test_fraction for genome in found.values()] == [0.2, 0.3]


def test_a_key_of_one_of_several_genomes_can_be_set():
    found = config("genome=null", "genomes.yeast.path=y.fa", "genomes.yeast.weight=2").sources()
    assert found["yeast"].weight == 2


def test_the_architecture_of_a_preset_can_be_changed():
    shape = config("architecture.n_near_taps=3", "architecture.max_seq_len=9000").shape()
    assert config("architecture.initializer_gain=5e-1").shape().initializer_gain == 0.5
    assert (shape.n_near_taps, shape.max_seq_len, shape.embed_dropout) == (3, 9000, 0.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("preset=huge", "preset must be one of tiny, small"),
        ("genomes={a: {path: a.fa}}", "give either genome or genomes"),
        ("genome=null", "no genome to train on: give --genome"),
        ("genomes={a: {weigth: 1}}", "did you mean 'genomes.NAME.weight'"),
        ("memory_gib=.inf", "finite number"),
        ("split.test_regions=7", r"key 'split.test_regions'"),
        ("architecture.near=3", "unknown key 'near' of the architecture"),
        ("architecture.embed_dropout=0.1", "unknown key 'embed_dropout' of the architecture"),
        ("architecture.shortest_reach=[1]", "shortest_reach must be a number, got"),
        ("architecture.shortest_reach=[a]", "configuration key 'architecture.shortest_reach'"),
        ("architecture.shortest_reach=true", "configuration key 'architecture.shortest_reach'"),
        ("architecture.max_seq_len=500", "needs max_seq_len of at least 1,026, got 500"),
        ("start_length=2048", "start_length 2048 is above context_length 1024"),
        ("seed=5000000000", "less than 4294967296"),
        ("context_length=1", "greater than or equal to 2"),
        ("device=cuda", "'auto' or 'cpu'"),
        ("split={test_contigs: [a], test_regions: b.bed}", "not both"),
        ("split={validation_contigs: [a], validation_regions: b.bed}", "not both"),
        ("split.test_fraction=1", "less than 1"),
    ],
)
def test_invalid_input_is_an_error(override, message):
    with pytest.raises(ValueError, match=message):
        config(override)


def test_every_key_has_a_description():
    for name, field in PretrainConfig.model_fields.items():
        assert field.description, name
