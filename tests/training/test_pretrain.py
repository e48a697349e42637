"""Pretraining learns, gives the same weights from the same seed, and writes a plain folder."""

import json
import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from megabase.errors import WorkError
from megabase.model.load import save
from megabase.ops.memory import default_odds
from megabase.runtime.artifacts import read_record
from megabase.training.pretrain import METRICS, pretrain
from megabase.training.run_config import PretrainConfig, genome_options
from tests import toys
from tests.toys import letters, write_fasta

SMALL = {"context_length": 32, "tokens_per_step": 128, "steps": 6, "log_every": 2, "validations": 2}


@pytest.fixture
def genome(tmp_path):
    contig = letters(2000).lower() + letters(40) * 200
    return write_fasta(tmp_path / "genome.fa", {"chrI": contig, "chrII": "ACGT"})


def run(genome, output, **changes):
    pretrain(PretrainConfig(genome=str(genome), **(SMALL | changes)), output)
    return output


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def metrics(folder):
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


@pytest.mark.learned
def test_a_repeat_is_learned(genome, tmp_path):
    lines = metrics(run(genome, tmp_path / "model", steps=60, learning_rate=5e-3))
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < math.log(4) - 0.1


def test_metrics_say_step_tokens_rate_and_validation(genome, tmp_path):
    lines = metrics(run(genome, tmp_path / "model"))
    training = [line for line in lines if "loss" in line]
    assert [(line["step"], line["tokens"]) for line in training] == [(2, 256), (4, 512), (6, 768)]
    assert {"seconds", "grad_norm", "learning_rate", "tokens_per_second"} <= training[0].keys()
    assert [line["step"] for line in lines if "validation_loss" in line] == [3, 6]
    assert {line["context_length"] for line in training} == {32}


def test_the_last_step_is_logged_and_measured_whatever_the_interval(genome, tmp_path):
    lines = metrics(run(genome, tmp_path / "model", steps=7, log_every=5, validations=3))
    assert [line["step"] for line in lines if "loss" in line] == [5, 7]
    assert [line["step"] for line in lines if "validation_loss" in line] == [3, 6, 7]


def test_the_learning_rate_rises_and_falls_to_its_floor(genome, tmp_path):
    output = run(genome, tmp_path / "model", steps=20, log_every=1, learning_rate=1e-3)
    rates = [line["learning_rate"] for line in metrics(output) if "loss" in line]
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) == 2  # a tenth of 20 steps
    assert rates[-1] == pytest.approx(1e-4, rel=0.2)


def test_the_same_seed_gives_the_same_weights_bit_by_bit(genome, tmp_path):
    one, other = run(genome, tmp_path / "a"), run(genome, tmp_path / "b", workers=1)
    assert all(torch.equal(weights(one)[name], weights(other)[name]) for name in weights(one))
    another = weights(run(genome, tmp_path / "c", seed=1))
    assert not torch.equal(another["backbone.norm.weight"], weights(one)["backbone.norm.weight"])


@pytest.mark.learned
def test_passes_accumulate_to_the_same_step(genome, tmp_path):
    whole = weights(run(genome, tmp_path / "a"))
    parts = weights(run(genome, tmp_path / "b", windows_per_pass=1))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=1e-4)


def test_the_record_holds_configuration_split_and_hash(genome, tmp_path):
    record = read_record(run(genome, tmp_path / "model"))
    assert record["finished"]
    assert record["request"]["config"]["context_length"] == 32
    assert record["results"]["tokens"] == 6 * 128
    (name,), (about,) = zip(*record["results"]["genomes"].items(), strict=True)
    assert (name, about["path"]) == ("genome", str(genome))
    assert about["split"]["test"] == [["chrI", 9000, 10000], ["chrII", 3, 4]]
    assert about["sha256"] == record["request"]["inputs"]["genome.tokens"]


def test_a_finished_folder_is_left_as_it_is(genome, tmp_path):
    output = run(genome, tmp_path / "model")
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    run(genome, output)
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == before


def test_another_configuration_does_not_overwrite(genome, tmp_path):
    output = run(genome, tmp_path / "model")
    with pytest.raises(ValueError, match=r"config.steps was 6, is 7"):
        run(genome, output, steps=7)


def test_the_architecture_is_that_of_the_model_and_of_the_request(genome, tmp_path):
    few = {"steps": 1, "validations": 0}
    output = run(genome, tmp_path / "model", architecture={"n_near_taps": 3}, **few)
    assert AutoModelForCausalLM.from_pretrained(output).config.n_near_taps == 3
    whole = read_record(output)["request"]["config"]["architecture"]
    assert (whole["n_near_taps"], whole["filter_family"]) == (3, "scale-free")
    with pytest.raises(ValueError, match=r"config.architecture.n_near_taps was 3, is 4"):
        run(genome, output, architecture={"n_near_taps": 4}, **few)


MEMORY = {"memory_orders": [2, 6, 11], "pointer_orders": [11]}


@pytest.mark.learned
def test_with_a_memory_a_segment_seen_long_before_the_window_is_known(tmp_path):
    repeats = [letters(300, seed) for seed in range(8)]
    contig = "".join(letters(100, 50 + i) + repeats[i % 8] for i in range(48))
    genome = write_fasta(tmp_path / "genome.fa", {"chrI": contig})
    keys = {"steps": 60, "learning_rate": 1e-2, "segment_length": 4000, "validations": 1}
    bits = {}
    for name, architecture in (("without", {}), ("with", MEMORY)):
        lines = metrics(run(genome, tmp_path / name, architecture=architecture, **keys))
        bits[name] = lines[-1]["validation_loss"] / math.log(2)
    assert bits["without"] > 1.9
    assert bits["with"] < 1.4  # three quarters of the bases were seen before


def test_the_table_of_pointers_is_fitted_in_training_and_not_by_the_gradient(genome, tmp_path):
    odds = weights(run(genome, tmp_path / "a", architecture=MEMORY, steps=1))
    longer = weights(run(genome, tmp_path / "b", architecture=MEMORY, steps=4))
    name = "backbone.memory.pointer_odds"
    assert torch.equal(odds[name], longer[name])
    assert odds[name][32, 15] > default_odds()[32, 15] + 1  # the genome repeats itself exactly


def test_the_request_of_a_run_without_a_memory_has_no_key_of_one(genome, tmp_path):
    plain = read_record(run(genome, tmp_path / "plain", steps=1))["request"]["config"]
    memory = read_record(run(genome, tmp_path / "memory", architecture=MEMORY, steps=1))
    new = memory["request"]["config"].keys() - plain.keys()
    assert new == {
        "remember",
        "segment_length",
        "open_segments",
        "short_memory_p",
        "window_memory_p",
        "own_loss_weight",
    }
    assert not any("memory" in key or "pointer" in key for key in plain["architecture"])


def test_the_loss_of_the_blocks_alone_trains_and_is_not_logged(genome, tmp_path):
    keys = {"architecture": MEMORY, "steps": 1, "log_every": 1, "validations": 0}
    runs = {weight: run(genome, tmp_path / str(weight), own_loss_weight=weight, **keys)
            for weight in (0.0, 2.0)}  # fmt: skip
    losses = [metrics(folder)[0]["loss"] for folder in runs.values()]
    assert losses[0] == losses[1]
    one, other = map(weights, runs.values())
    assert not torch.equal(one["backbone.embedding.weight"], other["backbone.embedding.weight"])


def test_a_genome_that_the_memory_has_read_before_is_part_of_the_request(genome, tmp_path):
    relative = write_fasta(tmp_path / "relative.fa", {"chr": letters(3000, 4) + letters(2000)})
    keys = {"architecture": MEMORY, "remember": (str(relative),), "steps": 2}
    output = run(genome, tmp_path / "model", **keys)
    inputs = read_record(output)["request"]["inputs"]
    assert len(inputs[f"remember {relative}"]) == 64
    plain = weights(run(genome, tmp_path / "plain", architecture=MEMORY, steps=2))
    name = "backbone.memory.skip.weight"
    assert not torch.equal(weights(output)[name], plain[name])
    write_fasta(relative, {"chr": letters(3000, 5)})
    with pytest.raises(ValueError, match="remember"):
        run(genome, output, **keys)


def test_a_changed_bed_file_is_another_request(genome, tmp_path):
    bed = tmp_path / "test.bed"
    bed.write_text("chrI\t9000\t10000\n")
    split = {"test_regions": str(bed)}
    output = run(genome, tmp_path / "model", split=split)
    bed.write_text("chrI\t8000\t10000\n")
    with pytest.raises(ValueError, match=r"inputs.genome.test_regions was"):
        run(genome, output, split=split)


def test_the_number_of_workers_does_not_change_the_request(genome, tmp_path):
    output = run(genome, tmp_path / "model")
    run(genome, output, workers=1)


def test_the_context_is_stored_as_published(genome, tmp_path):
    config = json.loads((run(genome, tmp_path / "model") / "config.json").read_text())
    assert (config["max_seq_len"], config["model_type"]) == (34, "hyenadna")


@pytest.mark.slow
def test_options_that_change_something(genome, tmp_path):
    base = weights(run(genome, tmp_path / "base"))
    changes = {
        "embed_dropout": 0.5,
        "weight_decay": 10.0,
        "beta1": 0.5,
        "beta2": 0.5,
        "clip_norm": 1e-3,
        "reverse_complement_p": 0.0,
        "warmup_fraction": 0.5,
        "final_fraction": 1.0,
        "precision": "bfloat16",
        "soft_mask_weight": 0.0,
        "start_length": 8,
        "tokens_per_step": 64,
    }
    for key, value in changes.items():
        changed = weights(run(genome, tmp_path / key, **{key: value}))
        assert any(not torch.equal(changed[name], base[name]) for name in base), key


@pytest.mark.learned
def test_gradient_checkpointing_changes_nothing(genome, tmp_path):
    one = weights(run(genome, tmp_path / "a"))
    other = weights(run(genome, tmp_path / "b", gradient_checkpointing=True))
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor)


def test_a_validation_split_too_small_for_a_window_is_logged(genome, tmp_path, caplog):
    caplog.set_level("INFO", logger="megabase")
    split = {"validation_contigs": ["chrII"]}
    lines = metrics(run(genome, tmp_path / "model", split=split))
    assert not [line for line in lines if "validation_loss" in line]
    assert "no window of 32 bp fits" in caplog.text


def test_a_genome_shorter_than_the_context_is_an_error(genome, tmp_path):
    with pytest.raises(ValueError, match="holds a window of 20,000 bp"):
        run(genome, tmp_path / "model", context_length=20_000)
    assert not (tmp_path / "model").exists()


def test_a_nan_loss_stops_the_run(genome, tmp_path):
    diverging = {"learning_rate": 1e30, "warmup_fraction": 0.0, "clip_norm": 1e30}
    with pytest.raises(
        WorkError,
        match=r"at step 2 is NaN or infinite, at genome chrI:\[.* last good checkpoint is .*-1;",
    ):
        run(genome, tmp_path / "model", **diverging, steps=4, log_every=100, checkpoint_every=1)
    assert not read_record(tmp_path / "model")["finished"]


def test_nan_weights_are_never_saved(genome, tmp_path):
    with pytest.raises(WorkError, match=r"weights after step 1 are NaN or infinite.*is none;"):
        run(genome, tmp_path / "model", learning_rate=1e38, warmup_fraction=0.0, steps=1)
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_validation_windows_of_n_are_skipped(tmp_path):
    fasta = write_fasta(tmp_path / "n.fa", {"chrI": letters(3000) + "N" * 60 + letters(400)})
    lines = metrics(run(fasta, tmp_path / "model", split={"validation_fraction": 0.1}))
    assert all(math.isfinite(line["validation_loss"]) for line in lines if "loss" not in line)


def test_a_genome_of_n_is_an_error_before_anything_is_written(tmp_path):
    fasta = write_fasta(tmp_path / "n.fa", {"chrI": "N" * 3000})
    with pytest.raises(ValueError, match="each has more than 3 N"):
        run(fasta, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_several_genomes_are_measured_and_recorded_by_name(genome, tmp_path):
    other = write_fasta(tmp_path / "other.fa", {"chr1": letters(3000, seed=9)})
    genomes = {"repeat": {"path": "genome.fa", "weight": 3}, "random": {"path": "other.fa"}}
    config = PretrainConfig(genomes=genomes, genome_folder=str(tmp_path), **SMALL)
    pretrain(config, tmp_path / "model")
    last = metrics(tmp_path / "model")[-1]
    assert {"validation_loss_repeat", "validation_loss_random"} <= last.keys()
    record = read_record(tmp_path / "model")["results"]["genomes"]
    assert record["random"]["path"] == str(other)
    assert record["repeat"]["split"]["test"] == [["chrI", 9000, 10000], ["chrII", 3, 4]]


def test_a_very_small_real_genome(shared, tmp_path):
    lambda_phage = shared / "data/genomes/phage/lambda_virus.fa.gz"
    output = run(lambda_phage, tmp_path / "model", context_length=512, steps=3)
    (about,) = read_record(output)["results"]["genomes"].values()
    assert about["split"]["test"][0][1:] == [43651, 48502]
    assert about["split"]["validation"][0][1:] == [43651 - 512, 43651]  # one window fits
    assert "validation_loss" in metrics(output)[-1]


def test_one_genome_under_two_names_may_not_learn_what_it_holds_out(genome, tmp_path):
    split = {"test_regions": ["chrI:1-1,000"]}
    genomes = {"one": {"path": str(genome), "split": split}, "two": {"path": str(genome)}}
    with pytest.raises(ValueError, match="are the same genome, and 'one' trains on bases"):
        pretrain(PretrainConfig(genomes=genomes, **SMALL), tmp_path / "model")
    genomes["two"]["split"] = split
    pretrain(PretrainConfig(genomes=genomes, **SMALL), tmp_path / "model")


def test_more_windows_per_pass_than_there_are_is_all_of_them(genome, tmp_path):
    record = read_record(run(genome, tmp_path / "model", windows_per_pass=99))
    assert record["results"]["plan"]["windows_per_pass"] == {"32": 4}


def test_training_continues_a_model_on_other_genomes_and_the_record_names_both(
    genome, tmp_path, caplog
):
    caplog.set_level("INFO", logger="megabase")
    first = run(genome, tmp_path / "first", architecture={"n_near_taps": 3}, seed=5)
    paths = [
        write_fasta(tmp_path / f"{name}.fa", {"chr1": letters(3000, seed=seed)})
        for seed, name in enumerate(("yeast", "worm"), start=9)
    ]
    keys = genome_options([str(path) for path in paths])
    few = {**SMALL, "context_length": 16, "steps": 1, "learning_rate": 1e-9, "model": str(first)}
    config = PretrainConfig(**keys, **few)
    pretrain(config, tmp_path / "second")
    assert "continuing" in caplog.text
    before, after = weights(first), weights(tmp_path / "second")
    for name, tensor in before.items():  # a step of nearly no length: they are the model's
        torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-7)
    one, two = ((folder / "config.json").read_text() for folder in (first, tmp_path / "second"))
    assert one == two
    record, earlier = read_record(tmp_path / "second"), read_record(first)
    about = record["results"]["continued_from"]
    fingerprint = json.loads((first / "fingerprint.json").read_text())
    assert about["model"] == str(first)
    assert about["weights_sha256"] == earlier["results"]["weights_sha256"]
    assert record["request"]["inputs"]["model"] == about["weights_sha256"]
    assert about["log_likelihood"] == pytest.approx(fingerprint["log_likelihood"])
    assert about["genomes"] == {"genome": earlier["results"]["genomes"]["genome"]["sha256"]}
    assert set(record["results"]["genomes"]) == {"yeast", "worm"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"preset": "tiny"},
            "configuration of the model .*leave out preset",
        ),
        ({"architecture": {"n_near_taps": 3}}, "leave out architecture"),
        ({"context_length": 65}, "windows of 65 tokens are longer than the context of .* is 64;"),
    ],
)
def test_what_contradicts_the_model_continued_is_an_error(genome, tmp_path, keys, message):
    save(toys.model(), tmp_path / "language")
    with pytest.raises(ValueError, match=message):
        run(genome, tmp_path / "out", model=str(tmp_path / "language"), **keys)
    assert not (tmp_path / "out").exists()


def test_genomes_of_options_have_names_of_their_own():
    assert genome_options([]) == {"genome": None}
    assert genome_options(["a.fa"]) == {"genome": "a.fa"}
    assert genome_options(["a.fa", "asset:ecoli"]) == {
        "genomes": {"a": {"path": "a.fa"}, "ecoli": {"path": "asset:ecoli"}}
    }
    with pytest.raises(ValueError, match=r"a\.fa and b/a\.fa\.gz would both"):
        genome_options(["a.fa", "b/a.fa.gz"])


def test_the_log_has_units_and_ends_with_held_out_bits_next_to_a_markov_model(
    genome, tmp_path, caplog
):
    caplog.set_level("INFO", logger="megabase")
    output = run(genome, tmp_path / "model")
    nats = metrics(output)[-1]["validation_loss"]
    bits = f"{nats / math.log(2):.4f}"
    assert f"validation after step 6: {nats:.4f} nats per base ({bits} bits)" in caplog.text
    *_, summary, places = caplog.messages
    assert f"summary: genome, held out: {bits} bits per base ({nats:.4f} nats)" in summary
    assert "a Markov model of order" in summary
    assert places == f"model: {output}; figures: {output / METRICS}"
