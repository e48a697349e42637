"""Every verb serves a model with a memory; batches, shards and interruptions change nothing."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
)
from megabase.model.load import base_sha256, save
from megabase.model.prompted import HyenaDNAForPromptedClassification
from tests import toys
from tests.cli.command import run
from tests.cli.test_bad_input import refused
from tests.labelled_tables import motif_rows, write_rows
from tests.vcf_files import vcf_text, write_vcf_file

LETTERS = {"chrI": toys.repeats(300), "chrII": toys.repeats(200, seed=3)}
CLASSES = {"num_labels": 3, "problem_type": "single_label_classification"}


def noisy(kind, **keys):
    """Give a model of a class whose every weight matters."""
    torch.manual_seed(0)
    made = kind(toys.config(**toys.MEMORY, **keys)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remembering")
    model = toys.model(**toys.MEMORY)
    save(model, folder / "model")
    with torch.no_grad():  # the same weights, but none that reads a feature
        for reader in ("from_features", "skip"):
            model.backbone.memory.get_submodule(reader).weight.zero_()
    save(model, folder / "deaf")
    save(noisy(HyenaDNAForSequenceClassification, **CLASSES), folder / "sequence")
    save(noisy(HyenaDNAForTokenClassification, **CLASSES), folder / "token")
    prompt = {"n_prompt_tokens": 4, "answer_letters": "AGN"}
    prompted = noisy(HyenaDNAForPromptedClassification, **CLASSES, **prompt)
    prompted.config.base_sha256 = base_sha256(prompted)
    save(prompted, folder / "prompt")
    toys.write_fasta(folder / "genome.fa", LETTERS)
    genes = {f"s{i}": toys.repeats(12 + 7 * i, seed=i) for i in range(7)}
    toys.write_fasta(folder / "genes.fa", genes)
    toys.write_fasta(folder / "long.fa", genes | {"long": LETTERS["chrI"]})
    (folder / "regions.bed").write_text("chrI\t40\t47\tx\nchrII\t100\t105\ty\nchrI\t90\t95\tz\n")
    rows = [
        ("chrI", at, LETTERS["chrI"][at - 1], "A" if LETTERS["chrI"][at - 1] != "A" else "C", ".")
        for at in range(20, 290, 30)
    ]
    write_vcf_file(folder / "in.vcf", vcf_text(rows))
    return folder


def genome(folder):
    return ["--genome", folder / "genome.fa"]


VERBS = {
    "score": lambda at: ["score", "--input", at / "long.fa", "--stride", 32],
    "score-vcf": lambda at: [
        "score-vcf", "--input", at / "in.vcf", *genome(at), "--window", 48, "--distance",
    ],
    "embed": lambda at: ["embed", "--input", at / "genes.fa"],
    "mutagenesis": lambda at: [
        "mutagenesis", "--regions", at / "regions.bed", *genome(at), "--window", 32,
        "--mode", "both",
    ],
    "tracks": lambda at: ["tracks", *genome(at), "--stride", 32],
    "predict": lambda at: ["predict", "--input", at / "genes.fa", "--strand", "average"],
}  # fmt: skip
ENDINGS = {"embed": ".npz", "tracks": ".bedgraph", "score-vcf": ".vcf"}
MODELS = {"predict": ("sequence", "token", "prompt")}
CASES = [(verb, model) for verb in VERBS for model in MODELS.get(verb, ("model",))]


def answered(capsys, folder, verb, model, output, *options):
    answer = run(
        capsys, *VERBS[verb](folder), "--model", folder / model, "--output", output, *options
    )
    assert answer.code == 0, answer.err
    return output


def numbers(path):
    """Give every number of an output."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            values = [each for each in file.values() if each.dtype.kind == "f"]
        return np.concatenate([each.ravel() for each in values])
    text = re.sub("^#.*$", "", path.read_text(), flags=re.MULTILINE)
    cells = re.split(r"[\s,;=]+", text)
    return np.array([float(cell) for cell in cells if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", cell)])


def contents(path):
    """Give the bytes, but for the command in a header, which is of the run."""
    lines = path.read_bytes().split(b"\n")
    return [line for line in lines if not line.startswith(b"##megabase_command=")]


@pytest.mark.parametrize(("verb", "model"), CASES)
def test_batches_and_shards_change_nothing(capsys, folder, tmp_path, verb, model):
    ending = ENDINGS.get(verb, ".tsv")
    batched = answered(capsys, folder, verb, model, tmp_path / f"batched{ending}")
    alone = answered(capsys, folder, verb, model, tmp_path / f"alone{ending}", "--deterministic")
    found, expected = numbers(batched), numbers(alone)
    assert len(found) == len(expected) > 5
    np.testing.assert_allclose(found, expected, atol=1e-5)
    parts = [
        answered(
            capsys, folder, verb, model, tmp_path / f"{i}-of-3{ending}",
            "--deterministic", "--shard", f"{i}/3",
        )
        for i in (1, 2, 3)
    ]  # fmt: skip
    merged = tmp_path / f"merged{ending}"
    assert run(capsys, "merge", *parts, "--output", merged).code == 0
    assert contents(merged) == contents(alone)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "predict"])
def test_what_is_remembered_reaches_the_output(capsys, folder, tmp_path, verb):
    ending = ENDINGS.get(verb, ".tsv")
    hearing = answered(capsys, folder, verb, "model", tmp_path / f"a{ending}")
    deaf = answered(capsys, folder, verb, "deaf", tmp_path / f"b{ending}")
    assert np.abs(numbers(hearing) - numbers(deaf)).max() > 1e-3


def test_a_memory_limit_is_kept_or_refused(capsys, folder, tmp_path):
    limits = "--max-memory", 2, "--deterministic"
    answered(capsys, folder, "score", "model", tmp_path / "a.tsv", *limits)
    few = [*VERBS["score"](folder), "--model", folder / "model", "--output", tmp_path / "b.tsv"]
    refused(run(capsys, *few, "--max-memory", 0.401), "the limit is")


def test_the_engine_that_is_logged_names_the_code_of_the_memory(capsys, folder, tmp_path):
    fixed = VERBS["score"](folder)
    output = tmp_path / "scores.tsv"
    answer = run(capsys, *fixed, "--model", folder / "model", "--output", output, "--verbose")
    assert re.search("engine is streamed: .*; memory (compiled by gcc|in Python)", answer.err)
    computer = run(capsys, "doctor", "--json")
    assert json.loads(computer.out)["model memory"] in ("compiled by gcc", "not compiled")


def perplexity(capsys, folder, model, *options):
    fixed = ["--model", folder / model, *genome(folder), "--regions", folder / "regions.bed"]
    return run(capsys, "evaluate", "perplexity", *fixed, *options)


def test_perplexity_with_a_memory_of_the_window_or_of_all_before_it(capsys, folder, tmp_path):
    bits = {}
    for memory in ("before", "window"):
        output = tmp_path / f"{memory}.json"
        answer = perplexity(capsys, folder, "model", "--memory", memory, "--output", output)
        assert answer.code == 0, answer.err
        report = json.loads(output.read_text())
        assert report["memory"] == memory
        bits[memory] = report["model"]["bits_per_base"]
    assert bits["before"] != bits["window"]
    default = json.loads(perplexity(capsys, folder, "model", "--json").out)
    assert (default["memory"], default["model"]["bits_per_base"]) == ("before", bits["before"])


def test_a_memory_that_is_unknown_or_that_the_model_lacks_is_an_error(capsys, folder, tmp_path):
    refused(perplexity(capsys, folder, "model", "--memory", "all"), "before or window; got 'all'")
    save(toys.model(), tmp_path / "plain")
    refused(perplexity(capsys, folder, tmp_path / "plain", "--memory", "window"), "has no memory")
    answer = perplexity(capsys, folder, tmp_path / "plain", "--json")
    assert "memory" not in json.loads(answer.out)


@pytest.mark.parametrize("adapt", ["full", "head", "lora", "prompt"])
def test_every_adaptation_trains_reading_and_leaves_the_odds(capsys, folder, tmp_path, adapt):
    if adapt == "lora":
        pytest.importorskip("peft")
    write_rows(tmp_path / "train.csv", motif_rows(40))
    write_rows(tmp_path / "test.csv", motif_rows(12, seed=1))
    rows = ["--train", tmp_path / "train.csv", "--test", tmp_path / "test.csv"]
    few = ["--seeds", 1, "--epochs", 1, "--device", "cpu", "--quiet", "--adapt", adapt]
    tuned, output = tmp_path / "tuned", tmp_path / "p.csv"
    answer = run(capsys, "finetune", *rows, "--model", folder / "model", "--output", tuned, *few)
    assert answer.code == 0, answer.err
    again = ["--model", tuned, "--input", tmp_path / "test.csv", "--output", output]
    assert run(capsys, "predict", *again).code == 0
    assert output.read_bytes() == (tuned / "predictions.csv").read_bytes()
    before, after = (load_file(path / "model.safetensors") for path in (folder / "model", tuned))
    mixer = [name for name in before if name.startswith("backbone.memory.")]
    changed = {name for name in mixer if not torch.equal(before[name], after[name])}
    assert "backbone.memory.pointer_odds" in set(mixer) - changed
    assert bool(changed) is (adapt in ("full", "lora"))


def test_a_memory_is_described(capsys, folder):
    about = run(capsys, "info", "--model", folder / "model", "--length", 60).out
    assert re.search("memory +counts of orders 1, 3, 8; at most 128 pointers from seeds", about)
    assert re.search(r"memory_orders +\[1, 3, 8\]", about)
