"""The card of the shipped model has the figures of its reports; other reports are refused."""

import json
from contextlib import chdir

import pytest
from scripts.default_model import CARD, SOURCES, package

from megabase.evaluation.context import report_context
from megabase.evaluation.perplexity import evaluate_held_out
from megabase.model.load import load
from megabase.model.reading import weights_sha256
from megabase.training.pretrain import pretrain
from megabase.training.run_config import PretrainConfig
from tests import toys


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with two genomes, a model trained on them, and its reports."""
    place = tmp_path_factory.mktemp("trained")
    names = ("ecoli", "yeast")
    for seed, name in enumerate(names):
        toys.write_fasta(place / f"{name}.fa", {"c": toys.letters(60_000, seed=seed)})
    config = PretrainConfig(
        genomes={name: {"path": f"{name}.fa"} for name in names}, context_length=512, steps=2,
        tokens_per_step=1024, validations=1,
    )  # fmt: skip
    with chdir(place):
        pretrain(config, place / "model")
        model = str(place / "model")
        evaluate_held_out(model, output=place / "perplexity.json")
        report_context(model, "ecoli.fa", place / "ecoli", gain_only=True, n_windows=9)
    record = json.loads((place / "model" / "megabase.json").read_text())
    record["command"] = "megabase pretrain --config configs/default.yaml --output model"
    (place / "model" / "megabase.json").write_text(json.dumps(record))
    return place


def test_the_card_has_the_measured_figures_and_the_folder_loads(trained, tmp_path):
    package(trained / "model", trained / "perplexity.json", [trained / "ecoli"], tmp_path / "out")
    card = (tmp_path / "out" / CARD).read_text()
    measured = json.loads((trained / "perplexity.json").read_text())["genomes"]
    for name, report in measured.items():
        assert SOURCES[name] in card
        for key in ("model", "markov", "gain", "pooled", "pooled_gain"):
            assert f"{report[key]['bits_per_base']:.4f} [" in card
    model = load(str(tmp_path / "out")).model
    assert weights_sha256(model) in card
    assert "a context of 512 tokens" in card
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


def test_reports_of_other_weights_are_refused(trained, tmp_path):
    report = json.loads((trained / "perplexity.json").read_text())
    report["genomes"]["yeast"]["weights_sha256"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(report))
    with pytest.raises(SystemExit, match="yeast is of other weights"):
        package(trained / "model", tmp_path / "other.json", [trained / "ecoli"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
