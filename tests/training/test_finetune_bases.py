"""What a base is, is learnt, measured over the bases that count, and answered as it was saved."""

import json

import numpy as np
import pytest
import torch

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictions import predictions
from megabase.metrics.task_metrics import intervals_of
from megabase.model.classification import HyenaDNAForTokenClassification
from megabase.model.load import load_classifier, save
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.training.finetune import METRICS, PREDICTIONS, adapt, check, finetune
from megabase.training.labelled import LabelledData, part_validation, read_labelled
from megabase.training.run_config import AdaptConfig, FinetuneConfig
from tests import toys
from tests.labelled_tables import read_rows, write_rows

LETTERS = toys.letters(2400)
FAST = {"n_seeds": 1, "batch_size": 8, "device": "cpu", "learning_rate": 1e-2}
VALUES = {at: 300.0 if each in "GC" else 100.0 for at, each in enumerate(LETTERS) if at % 3}


def regions(start, end, length=40):
    return [
        {"contig": "chr1", "start": at, "end": at + length, "strand": "+-"[at // length % 2]}
        for at in range(start, end, length)
    ]


def language():
    torch.manual_seed(0)
    return HyenaDNAForCausalLM(toys.config(d_model=16))


@pytest.fixture
def folder(tmp_path):
    """Labels that are the same read from either strand: G or C; and a value for most bases."""
    save(language(), tmp_path / "language")
    toys.write_fasta(tmp_path / "g.fa", {"chr1": LETTERS})
    write_rows(tmp_path / "train.csv", regions(0, 2000))
    write_rows(tmp_path / "test.csv", regions(2000, 2400))
    strong = [at for at, letter in enumerate(LETTERS) if letter in "GC"]
    (tmp_path / "gc.bed").write_text("".join(f"chr1\t{a}\t{a + 1}\tstrong\n" for a in strong))
    lines = (f"chr1\t{at}\t{at + 1}\t{value}\n" for at, value in VALUES.items())
    (tmp_path / "gc.bg").write_text("".join(lines))
    return tmp_path


def config(folder, track, **changes):
    fixed = {
        "train": str(folder / "train.csv"), "test": str(folder / "test.csv"),
        "genome": str(folder / "g.fa"), "labels": str(folder / track),
        "model": str(folder / "language"), "epochs": 3, **FAST,
    }  # fmt: skip
    return FinetuneConfig(**(fixed | changes))


def metrics(folder):
    return json.loads((folder / METRICS).read_text())


@pytest.mark.learned
def test_the_class_of_each_base_is_learnt_and_written_with_its_place(folder):
    finetune(config(folder, "gc.bed", class_weights="balanced"), folder / "out")
    found = metrics(folder / "out")
    assert found["classes"] == ["none", "strong"]
    test = found["test"]["mcc"]
    assert test["mean"] > 0.9
    assert test["interval"][0] <= test["best_seed"] <= test["interval"][1]
    rows = read_rows(folder / "out" / PREDICTIONS)
    assert list(rows[0]) == [
        "contig", "start", "end", "strand", "row", "position", "base", "predicted", "p_none",
        "p_strong",
    ]  # fmt: skip
    assert [row["position"] for row in rows] == [str(at) for at in range(40)] * 10
    assert [int(row["base"]) for row in rows[:80]] == [*range(2000, 2040), *range(2079, 2039, -1)]
    is_right = [
        (row["predicted"] == "strong") == (LETTERS[int(row["base"])] in "GC") for row in rows
    ]
    assert np.mean(is_right) == pytest.approx(found["test"]["accuracy"]["best_seed"])


def test_values_are_learnt_and_measured_over_the_bases_that_have_one(folder):
    run = config(folder, "gc.bg")
    finetune(run, folder / "out")
    found = metrics(folder / "out")
    assert (found["kind"], found["test"]["pearson"]["mean"] > 0.9) == ("regression", True)
    rows = read_rows(folder / "out" / PREDICTIONS)
    assert len(rows) == 400
    counted = [row for row in rows if int(row["base"]) in VALUES]
    values = np.array([VALUES[int(row["base"])] for row in counted])
    answers = np.array([float(row["predicted"]) for row in counted])
    units = np.array([int(row["row"]) for row in counted])
    mse = found["test"]["mse"]
    assert np.mean((answers - values) ** 2) == pytest.approx(mse["best_seed"], rel=1e-5)
    by_row = intervals_of("regression", values, answers, seed=0, units=units)["mse"]
    assert mse["interval"] == pytest.approx(list(by_row), rel=1e-4)
    model = load_classifier(str(folder / "out"))
    assert isinstance(model, HyenaDNAForTokenClassification)
    validation = read_labelled(run, 64).validation
    answers = np.concatenate(list(predictions(model, validation.sequences)))[:, 0]
    mse = np.nanmean((answers - np.concatenate(validation.labels)) ** 2)
    (seed,) = found["seeds"]
    assert seed["validation"]["mse"] == pytest.approx(mse, rel=1e-4)
    assert seed["validation"]["loss"] == min(epoch["loss"] for epoch in seed["epochs"])


def test_validation_holds_no_base_of_training(folder):
    overlapping = [row | {"start": row["start"] + 10} for row in regions(0, 400)]
    write_rows(folder / "train.csv", [*regions(0, 800), *overlapping])
    data = read_labelled(config(folder, "gc.bed", test=None), 64)
    learnt = {DNA_VOCABULARY.decode(tokens) for tokens in data.training.sequences}
    held = [DNA_VOCABULARY.decode(tokens) for tokens in data.validation.sequences]
    assert (len(learnt) + len(held), len(held) > 0) == (30, True)
    assert not any(each[12:28] in other for each in held for other in learnt)


@pytest.mark.learned
def test_labelled_bases_in_memory_are_learnt_on_either_strand(tmp_path):
    sequences = [DNA_VOCABULARY.encode(toys.letters(20 + n, seed=n)).tokens for n in range(40)]
    strong = [DNA_VOCABULARY.id_of(letter) for letter in "GC"]
    labels = [np.isin(tokens, strong).astype(np.uint8) for tokens in sequences]
    meaning, whole = Labels(("no", "yes"), per_base=True), Examples(sequences, labels)
    training, validation = part_validation(whole, meaning, fraction=0.2, seed=0)
    data = LabelledData(meaning, training, validation, None, [], 64)
    with pytest.raises(InputError, match="pooling is only for labels of whole rows"):
        check(AdaptConfig(pooling="max", **FAST), data, language())
    run = AdaptConfig(epochs=3, reverse_complement_p=0.5, strand="average", **FAST)
    adapt(run, data, language(), tmp_path / "out", command="test", inputs={})
    (seed,) = metrics(tmp_path / "out")["seeds"]
    chance = max(validation.targets().mean(), 1 - validation.targets().mean())
    assert seed["validation"]["accuracy"] > chance + 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"genome": None}, "labels of bases need their genome"),
        ({"kind": "regression"}, "kind and pooling are only for labels of whole rows"),
        ({"pooling": "max"}, "kind and pooling are only for labels of whole rows"),
    ],
)
def test_an_invalid_request_is_an_error(folder, changes, message):
    with pytest.raises(ValueError, match=message):
        finetune(config(folder, "gc.bed", **changes), folder / "out")


def test_labels_from_which_nothing_is_learnt(folder):
    for text, name, message in (
        ("chr1\t0\t2400\n", "one.bed", r"fewer than two classes: \['in'\]"),
        ("chr1\t2000\t2400\t2\n", "none.bg", "no base of .*train.csv has a value"),
        ("chr1\t0\t2400\t2\n", "same.bg", "every value in .*train.csv is 2"),
        ("chr1\t0\t999\t1\nchr1\t999\t2000\t2\n", "late.bg", "no base of .*test.csv has a label"),
    ):
        (folder / name).write_text(text)
        with pytest.raises(InputError, match=message):
            finetune(config(folder, name), folder / "out")


def test_a_part_that_was_drawn_without_a_label_is_an_error_before_any_work(folder):
    (folder / "few.bg").write_text("chr1\t0\t2\t1\nchr1\t2\t9\t2\n")  # in one of 50 rows
    with pytest.raises(InputError, match="drawn for validation have no labelled base"):
        finetune(config(folder, "few.bg", test=None), folder / "out")
    assert not (folder / "out").exists()
