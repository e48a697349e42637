"""A newcomer names no model: the shipped one answers every verb, offline, and says that it does."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

import megabase
from megabase.model.files import DEFAULT_MODEL
from megabase.runtime.location import model_place
from tests.cli.command import run
from tests.toys import letters, write_fasta

SAID = "the model is asset:default, which is included in megabase"


@pytest.fixture
def genome(tmp_path, monkeypatch):
    """Write a genome, a VCF file and regions of it, in a folder that is not the repository."""
    monkeypatch.chdir(tmp_path)
    bases = letters(600)
    write_fasta(tmp_path / "genome.fa", {"chrI": bases})
    (tmp_path / "regions.bed").write_text("chrI\t100\t104\n")
    alt = "A" if bases[299] != "A" else "C"
    (tmp_path / "in.vcf").write_text(
        "##fileformat=VCFv4.3\n##contig=<ID=chrI,length=600>\n"
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"chrI\t300\t.\t{bases[299]}\t{alt}\t.\t.\t.\n"
    )
    return bases


def answers(path):
    """Read an output without the header of a VCF file, which has the command line."""
    return [line for line in path.read_bytes().splitlines() if not line.startswith(b"##")]


@pytest.mark.parametrize(
    "arguments",
    [
        "score --input genome.fa --output out.tsv",
        "score-vcf --genome genome.fa --input in.vcf --output out.vcf",
        "embed --input genome.fa --output out.npz",
        "generate --length 12 --output out.fa",
        "tracks --genome genome.fa --output out.bedgraph",
        "mutagenesis --genome genome.fa --regions regions.bed --output out.tsv",
    ],
)
def test_every_verb_takes_it_where_none_is_named(genome, tmp_path, capsys, arguments):
    verb, *options = arguments.split()
    answer = run(capsys, verb, *options)
    assert answer.code == 0, answer.err
    assert answer.err.count(SAID) == 1
    first = answers(tmp_path / options[-1])
    run(capsys, verb, *options, "--model", DEFAULT_MODEL, "--overwrite")
    assert answers(tmp_path / options[-1]) == first


def test_its_folder_records_how_it_was_made(capsys):
    about = json.loads(run(capsys, "info", "--json").out)
    assert about["context_length"] >= 32_768
    assert about["made_by"].startswith("megabase pretrain --config configs/default.yaml")


def test_load_without_a_name_gives_it(genome, caplog):
    caplog.set_level(logging.INFO, "megabase")
    model = megabase.load()
    assert caplog.text.count(SAID) == 1
    (score,) = megabase.score_sequences(model, [genome])
    named = megabase.load(model_place(DEFAULT_MODEL))
    (same,) = megabase.score_sequences(named, [genome])
    np.testing.assert_array_equal(score.per_base, same.per_base)
    assert megabase.Embedder().fit_transform([genome]).shape == (1, model.model.config.d_model)


def test_it_fits_the_package():
    files = list(Path(model_place(DEFAULT_MODEL)).iterdir())
    assert sum(file.stat().st_size for file in files) < 15_000_000
    assert "README.md" in {file.name for file in files}  # its card
