"""The configurations of the repository are valid and hold out the intended regions."""

from pathlib import Path

import pytest

from megabase.runtime.config_file import read_config
from megabase.training.run_config import PretrainConfig
from megabase.training.sources import Sources

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_it_is_valid_and_starts_with_a_comment(file):
    assert file.read_text().startswith("# ")
    assert read_config(PretrainConfig, file=file).sources()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["demo", "ecoli", "yeast", "multi-species", "chr20", "default", "memory-ecoli", "memory-chr20"],
)
def test_its_genomes_open_and_split(shared, name):
    (file,) = (file for file in CONFIGS if file.stem == name)
    folder = f"genome_folder={shared / 'data/genomes'}"
    config = read_config(PretrainConfig, file=file, overrides=[folder])
    sources = Sources(config)
    assert sources.mixture().window(0, 0, config.context_length)
    held = {name: sum(map(len, source.split.test)) for name, source in sources.by_name.items()}
    if name == "multi-species":
        assert held["human"] == 63_025_520 - 45_000_000
        assert all(held.values())
    if name == "default":
        (worm,), (coli,) = (sources.by_name[one].split.test for one in ("worm", "ecoli"))
        assert (worm.start, worm.end) == (15_946_964, 17_718_849)  # the last tenth
        assert (coli.start, coli.end) == (4_175_707, 4_639_675)
        assert held["umaydis"] == 1_970_280  # of 19,702,792, in the order of the file
        umaydis = sources.by_name["umaydis"].split
        assert umaydis.train[-1].contig == umaydis.test[0].contig == "Umaydis:chr19:1:+:571809"
        assert held["human"] == 63_025_520 - 45_000_000
        assert {one.contig for one in sources.by_name["pfalciparum"].split.test} == {"MAL10"}
        assert {one.contig for one in sources.by_name["yeast"].split.test} == {"chrIV"}
    if name == "yeast":
        assert held == {"yeast": 1_531_933}  # the whole of chrIV
