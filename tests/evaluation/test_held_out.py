"""What is evaluated follows from how the model was trained."""

import json

import pytest

from megabase.data.token_store import open_token_store
from megabase.evaluation.perplexity import evaluate_held_out
from megabase.evaluation.scored_regions import choose_regions
from megabase.genome.split import overlap_bp
from megabase.model.load import save
from megabase.pipelines.models import convert
from megabase.training.pretrain import pretrain
from megabase.training.run_config import PretrainConfig
from tests import toys

TINY = {"context_length": 64, "tokens_per_step": 128, "steps": 2, "validations": 0}


@pytest.fixture
def genome(tmp_path):
    contigs = {"chrI": toys.letters(4000), "chrII": toys.letters(1000, seed=1)}
    return toys.write_fasta(tmp_path / "genome.fa", contigs)


@pytest.fixture
def trained(genome, tmp_path):
    pretrain(PretrainConfig(genome=str(genome), **TINY), tmp_path / "model")
    return str(tmp_path / "model")


def test_the_default_is_what_the_training_held_out(trained, genome):
    report = evaluate_held_out(trained, str(genome))
    assert report["regions"] == [["chrI", 3600, 4000], ["chrII", 900, 1000]]
    assert (report["n_bases"], report["n_bases_trained_on"]) == (500, 0)


def test_regions_that_were_trained_on_are_counted_and_warned_of(trained, genome, tmp_path, caplog):
    (tmp_path / "regions.bed").write_text("chrI\t3000\t3700\n")
    report = evaluate_held_out(trained, str(genome), regions=tmp_path / "regions.bed")
    assert report["n_bases"] == 700
    assert report["n_bases_trained_on"] == 536  # up to the validation part, from 3,536 on
    assert "was trained on 536 of the bases to score" in caplog.text


def test_another_genome_is_split_alike_and_its_history_unknown(trained, tmp_path):
    other = toys.write_fasta(tmp_path / "other.fa", {"chrI": toys.letters(3000, seed=5)})
    report = evaluate_held_out(trained, str(other))
    assert report["regions"] == [["chrI", 2700, 3000]]
    assert report["n_bases_trained_on"] is None


def test_a_model_without_record_is_evaluated_too(genome, tmp_path):
    save(toys.model(), tmp_path / "plain")
    (tmp_path / "regions.bed").write_text("chrII\t0\t500\nchrII\t400\t600\n")
    report = evaluate_held_out(
        str(tmp_path / "plain"), str(genome), regions=tmp_path / "regions.bed"
    )
    assert report["n_bases"] == 600


def test_regions_that_leave_nothing_to_learn_from_are_an_error(genome, tmp_path):
    save(toys.model(), tmp_path / "plain")
    (tmp_path / "all.bed").write_text("chrI\t0\t4000\nchrII\t0\t1000\n")
    with pytest.raises(ValueError, match="the regions cover all of"):
        evaluate_held_out(str(tmp_path / "plain"), str(genome), regions=tmp_path / "all.bed")


def test_a_training_without_held_out_bases_needs_regions(genome, tmp_path):
    config = PretrainConfig(genome=str(genome), **TINY, split={"test_fraction": 0.0})
    pretrain(config, tmp_path / "model")
    with pytest.raises(ValueError, match="held out nothing"):
        evaluate_held_out(str(tmp_path / "model"), str(genome))


def test_a_written_report_is_given_again_without_work(trained, genome, tmp_path, caplog):
    caplog.set_level("INFO", logger="megabase")
    output = tmp_path / "report.json"
    first = evaluate_held_out(trained, str(genome), output=output)
    assert json.loads(output.read_text()) == json.loads(json.dumps(first))
    caplog.clear()
    assert evaluate_held_out(trained, str(genome), output=output) == json.loads(output.read_text())
    assert "is finished already" in caplog.text
    with pytest.raises(ValueError, match=r"another request \(genomes..seed was 0, is 1\)"):
        evaluate_held_out(trained, str(genome), output=output, seed=1)


def test_the_baseline_is_never_fitted_to_scored_bases(trained, genome, tmp_path):
    bed = tmp_path / "validation.bed"
    bed.write_text("chrI\t3536\t3600\n")
    regions = choose_regions(trained, open_token_store(genome, cache=tmp_path), bed)
    assert overlap_bp(regions.scored, regions.training) == 0
    assert regions.n_bases_trained_on == 0


def test_every_genome_of_the_training_is_evaluated_by_name(genome, tmp_path):
    other = toys.write_fasta(tmp_path / "other.fa", {"chr1": toys.letters(3000, seed=5)})
    genomes = {"one": {"path": str(genome)}, "two": {"path": str(other)}}
    pretrain(PretrainConfig(genomes=genomes, **TINY), tmp_path / "model")
    found = evaluate_held_out(str(tmp_path / "model"))["genomes"]
    assert found["two"]["regions"] == [["chr1", 2700, 3000]]
    of_several = {key: found["one"][key] for key in ("genome", "pooled", "pooled_gain")}
    assert found["one"] == evaluate_held_out(str(tmp_path / "model"), str(genome)) | of_several


def test_several_genomes_have_a_markov_baseline_of_all(tmp_path):
    motif = {"chr1": "ACGTTGCA" * 400}
    genomes = {
        name: {"path": str(toys.write_fasta(tmp_path / f"{name}.fa", contigs))}
        for name, contigs in {"one": motif, "same": {"chr2": motif["chr1"]}}.items()
    }
    genomes["random"] = {
        "path": str(toys.write_fasta(tmp_path / "random.fa", {"chr1": toys.letters(3000, seed=5)}))
    }
    pretrain(PretrainConfig(genomes=genomes, **TINY), tmp_path / "model")
    found = evaluate_held_out(str(tmp_path / "model"))["genomes"]
    for report in found.values():
        gain = report["pooled"]["bits_per_base"] - report["model"]["bits_per_base"]
        assert report["pooled_gain"]["bits_per_base"] == pytest.approx(gain)
    own, pooled = (found["one"][key]["bits_per_base"] for key in ("markov", "pooled"))
    assert own < pooled < 1  # it has learnt the motif of the others, and noise as well
    assert found["one"]["pooled"] == found["same"]["pooled"]


def test_missing_genomes_of_the_training_are_named(genome, tmp_path):
    pretrain(PretrainConfig(genome=str(genome), **TINY), tmp_path / "model")
    genome.rename(tmp_path / "elsewhere.fa")
    with pytest.raises(ValueError, match=r"was trained on .*, which does not exist here"):
        evaluate_held_out(str(tmp_path / "model"))


def test_a_model_without_record_needs_a_genome(tmp_path):
    save(toys.model(), tmp_path / "plain")
    with pytest.raises(ValueError, match="no record of the genomes"):
        evaluate_held_out(str(tmp_path / "plain"))


@pytest.mark.parametrize(
    "change",
    [
        lambda genomes: genomes["genome"].pop("sha256"),
        lambda genomes: genomes["genome"]["split"].pop("test"),
        lambda genomes: genomes["genome"]["split"]["test"].append(["chrI", 5, "x"]),
        lambda genomes: genomes["genome"]["split"]["train"].append(["chrI", 5, 3]),
        lambda genomes: genomes["genome"]["split"]["train"].append([1, 3, 5]),
        lambda genomes: genomes["genome"].update(path=None),
        lambda genomes: genomes.update(genome=[]),
    ],
)
def test_a_damaged_record_of_the_training_is_an_error(trained, genome, tmp_path, change):
    place = tmp_path / "model" / "megabase.json"
    record = json.loads(place.read_text())
    change(record["results"]["genomes"])
    place.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"training genomes in megabase.json are invalid"):
        evaluate_held_out(trained, str(genome))


def test_a_converted_model_knows_its_split(trained, genome, tmp_path):
    convert(trained, tmp_path / "copy")
    report = evaluate_held_out(str(tmp_path / "copy"), str(genome))
    assert report["n_bases_trained_on"] == 0
