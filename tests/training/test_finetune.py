"""Fine-tuning learns, chooses on validation only, and what it saves answers as it did."""

import json

import numpy as np
import pytest
import torch

from megabase.data import labelled_dataset
from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.errors import InputError, WorkError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictions import predictions
from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.load import load_classifier, save
from megabase.training import finetune as module
from megabase.training import fit
from megabase.training.arguments import decayed_parameters, finetune_arguments
from megabase.training.finetune import METRICS, PREDICTIONS, finetune
from megabase.training.finetune_trainer import is_better
from megabase.training.labelled import LabelledData, read_labelled
from megabase.training.run_config import FinetuneConfig
from tests import toys
from tests.labelled_tables import motif_rows, read_rows, write_rows

LANGUAGE = toys.model(d_model=16)
SMALL = {"n_seeds": 1, "epochs": 1, "batch_size": 16, "device": "cpu"}


def write_tables(folder):
    save(LANGUAGE, folder / "language")
    write_rows(folder / "train.csv", motif_rows(40))
    write_rows(folder / "test.csv", motif_rows(20, seed=1))
    return folder


@pytest.fixture
def tables(tmp_path):
    return write_tables(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that no test changes."""
    tables = write_tables(tmp_path_factory.mktemp("made"))
    return run(tables, test=str(tables / "test.csv"))


def run(tables, name="out", **changes):
    fixed = {"train": str(tables / "train.csv"), "model": str(tables / "language"), **SMALL}
    finetune(FinetuneConfig(**(fixed | changes)), tables / name)
    return tables / name


def metrics(folder):
    return json.loads((folder / METRICS).read_text())


def weights(folder):
    return load_classifier(str(folder)).state_dict()


@pytest.mark.learned
def test_a_motif_is_learnt_from_scratch_and_measured_with_an_interval(tables):
    write_rows(tables / "train.csv", motif_rows(120))
    keys = {"model": None, "preset": "tiny", "epochs": 3, "pooling": "max"}
    out = run(tables, test=str(tables / "test.csv"), learning_rate=2e-3, **keys)
    test = metrics(out)["test"]["accuracy"]
    assert test["mean"] > 0.9
    assert test["interval"][0] <= test["best_seed"] <= test["interval"][1]


@pytest.mark.parametrize("which", ["validation", "test"])
def test_a_row_too_long_to_be_predicted_is_refused_before_training(tables, which):
    names = {"validation": str(write_rows(tables / "validation.csv", motif_rows(20)))}
    rows = [row | {"sequence": "ACGT" * 50_000} for row in motif_rows(1)]
    long = str(write_rows(tables / "long.csv", [*motif_rows(20), *rows]))
    save(toys.model(d_model=128, max_seq_len=1 << 18), tables / "reader")
    keys = {"model": str(tables / "reader"), "memory_gib": 0.6}
    message = r"predicting a validation or test row of 200,000 tokens needs about \d.* GiB, and may"
    with pytest.raises(InputError, match=message):
        run(tables, **(names | {which: long} | keys))
    assert not (tables / "out").exists()
    with pytest.raises(InputError, match=r"row 21 has 200,000 bp, and the model reads at most"):
        run(tables, **(names | {which: long}))


def test_predictions_are_those_of_the_saved_model_bit_for_bit(made):
    rows = read_rows(made / PREDICTIONS)
    assert list(rows[0]) == ["id", "sequence", "label", "predicted", "p_0", "p_1"]
    sequences = [DNA_VOCABULARY.encode(row["sequence"]).tokens for row in rows]
    answers = list(predictions(load_classifier(str(made)), sequences))
    assert [row["p_1"] for row in rows] == [f"{answer[1]:.8g}" for answer in answers]
    assert [row["predicted"] for row in rows] == [str(answer.argmax()) for answer in answers]
    assert [row["id"] for row in rows] == [f"r{number}" for number in range(20)]


@pytest.mark.parametrize("adapt", ["full", "lora"])
def test_what_is_trained_in_bfloat16_is_measured_as_it_answers_when_loaded(made, tables, adapt):
    test = str(tables / "test.csv")
    out = run(tables, test=test, precision="bfloat16", adapt=adapt)
    rows = read_rows(out / PREDICTIONS)
    sequences = [DNA_VOCABULARY.encode(row["sequence"]).tokens for row in rows]
    answers = list(predictions(load_classifier(str(out)), sequences))
    assert [row["p_1"] for row in rows] == [f"{answer[1]:.8g}" for answer in answers]
    in_float32 = made if adapt == "full" else run(tables, "f", test=test, adapt=adapt)
    assert any(
        not torch.equal(weights(out)[name], each) for name, each in weights(in_float32).items()
    )
    (epoch,) = metrics(out)["seeds"][0]["epochs"]
    data = read_labelled(FinetuneConfig(train=str(tables / "train.csv")), None)
    found = np.stack(list(predictions(load_classifier(str(out)), data.validation.sequences)))
    loss = -np.log(found[np.arange(len(found)), data.validation.labels]).mean()
    assert epoch["loss"] == pytest.approx(loss, rel=1e-6)


def test_seeds_differ_and_the_best_on_validation_is_saved(tables):
    out = run(tables, n_seeds=2, test=str(tables / "test.csv"))
    found = metrics(out)
    losses = [each["validation"]["loss"] for each in found["seeds"]]
    assert losses[0] != losses[1]
    assert found["best_seed"] == int(np.argmin(losses))
    assert found["validation"]["loss"]["mean"] == pytest.approx(np.mean(losses))
    assert found["validation"]["loss"]["sd"] == pytest.approx(np.std(losses, ddof=1))
    assert {path.name for path in out.iterdir()} >= {"config.json", METRICS, PREDICTIONS}
    assert not (out / "seeds").exists()


def test_the_log_has_units_and_ends_with_the_test_next_to_the_majority(tables, caplog):
    caplog.set_level("INFO", logger="megabase")
    out = run(tables, adapt="head", test=str(tables / "test.csv"))
    assert "losses are in nats" in caplog.text
    found = metrics(out)
    assert found["majority"]["accuracy"] == 0.5
    *_, summary, places = caplog.messages
    mean = found["test"]["accuracy"]["mean"]
    assert f"summary: test, 20 rows, 1 seed: accuracy {mean:.4f} (majority 0.5000)" in summary
    assert all(str(out / name) in places for name in (METRICS, PREDICTIONS, "test.png"))


def test_with_adapt_head_only_the_head_moves(made, tables):
    out = run(tables, adapt="head")
    found, before = weights(out), LANGUAGE.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in before.items())
    assert metrics(out)["n_parameters"]["moving"] == 2 * 16 + 2
    full = weights(made)
    assert not any(torch.equal(full[name], tensor) for name, tensor in before.items())


def test_the_test_table_decides_nothing_and_the_same_seed_gives_the_same_bits(made, tables):
    turned = [row | {"label": str(1 - int(row["label"]))} for row in motif_rows(20, seed=1)]
    other = run(tables, test=str(write_rows(tables / "turned.csv", turned)))
    assert all(torch.equal(weights(made)[name], weights(other)[name]) for name in weights(made))
    accuracies = [metrics(each)["test"]["accuracy"]["mean"] for each in (made, other)]
    assert sum(accuracies) == pytest.approx(1)


def test_without_a_test_table_validation_is_drawn(tables):
    out = run(tables, adapt="head")
    assert {path.name for path in out.glob("*.png")} == {"validation.png"}
    found = metrics(out)["calibration"]
    assert found["of"] == "validation"
    data = read_labelled(FinetuneConfig(train=str(tables / "train.csv")), None)
    answers = np.stack(list(predictions(load_classifier(str(out)), data.validation.sequences)))
    brier = np.mean((answers[:, 1] - data.validation.labels) ** 2)
    assert found["brier_score"] == pytest.approx(brier, rel=1e-5)


@pytest.mark.learned
def test_training_stops_after_epochs_without_a_better_and_ends_with_the_best(tables):
    # labels of chance: what is learnt of them makes validation worse
    rng = np.random.default_rng(0)
    rows = [row | {"label": str(rng.integers(2))} for row in motif_rows(40)]
    write_rows(tables / "train.csv", rows)
    out = run(tables, epochs=12, patience=2, learning_rate=2e-2)
    (seed,) = metrics(out)["seeds"]
    losses = [epoch["loss"] for epoch in seed["epochs"]]
    assert len(losses) == seed["best_epoch"] + 2 < 12
    assert seed["validation"]["loss"] == min(losses)
    data = read_labelled(FinetuneConfig(train=str(tables / "train.csv")), None)
    answers = np.stack(list(predictions(load_classifier(str(out)), data.validation.sequences)))
    loss = -np.log(answers[np.arange(len(answers)), data.validation.labels]).mean()
    assert loss == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.learned
def test_a_regression_is_learnt_in_its_own_unit(tables):
    rows = [
        row | {"label": str(1000.5 + 100 * row["sequence"].count("G"))} for row in motif_rows(400)
    ]
    write_rows(tables / "train.csv", rows[:380])
    write_rows(tables / "test.csv", rows[380:])
    out = run(tables, epochs=8, learning_rate=1e-2, test=str(tables / "test.csv"))
    assert metrics(out)["test"]["spearman"]["mean"] > 0.9
    predicted = [float(row["predicted"]) for row in read_rows(out / PREDICTIONS)]
    assert np.mean(predicted) == pytest.approx(2000, abs=200)


def test_an_interrupted_run_goes_on_with_the_seed_that_it_was_at(tables, monkeypatch):
    whole = run(tables, "whole", n_seeds=2)
    train, seen = module._AdaptationRun._train, []

    def killed(self, seed, meter):
        seen.append(seed)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return train(self, seed, meter)

    monkeypatch.setattr(module._AdaptationRun, "_train", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tables, n_seeds=2)
    assert not (tables / "out" / METRICS).exists()
    run(tables, n_seeds=2)
    assert seen == [0, 1, 1]
    assert metrics(tables / "out")["seeds"] == metrics(whole)["seeds"]
    before = (tables / "out" / METRICS).stat().st_mtime_ns
    run(tables, n_seeds=2)  # finished: nothing to do
    assert (tables / "out" / METRICS).stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"config.epochs was 1, is 2"):
        run(tables, n_seeds=2, epochs=2)


@pytest.mark.learned
@pytest.mark.parametrize("of", ["three rows", "one length"])
def test_passes_add_up_to_the_same_step(tables, monkeypatch, of):
    whole = weights(run(tables, embed_dropout=0.0))
    if of == "three rows":
        monkeypatch.setattr(fit, "rows_that_fit", lambda *_: (3, False))
    else:
        monkeypatch.setattr(labelled_dataset, "_LONGER", 0)
        monkeypatch.setattr(labelled_dataset, "_LONGER_SHARE", 1.0)
    parts = weights(run(tables, "b", embed_dropout=0.0))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.learned
def test_balanced_weights_help_the_rare_class(tables):
    rows = motif_rows(120)
    rare = [row for number, row in enumerate(rows) if number % 2 == 0 or number % 20 == 1]
    write_rows(tables / "train.csv", rare)
    keys = {"epochs": 2, "learning_rate": 3e-3}
    shares = []
    for name in ("none", "balanced"):
        out = run(tables, name, class_weights=name, test=str(tables / "test.csv"), **keys)
        shares.append(np.mean([float(row["p_1"]) for row in read_rows(out / PREDICTIONS)]))
    assert shares[1] > shares[0] + 0.1


def test_a_class_that_training_lacks_counts_as_the_mean_row():
    rows = Examples([np.full(4, 7, dtype=np.uint8)] * 8, np.array([1] * 6 + [2] * 2))
    data = LabelledData(Labels(("a", "b", "c")), rows, rows, None, [], 4)
    assert data.class_weights().tolist() == pytest.approx([1, 8 / 12, 2])


def test_values_have_no_classes_to_balance(tables):
    rows = [row | {"label": str(0.5 + place)} for place, row in enumerate(motif_rows(40))]
    write_rows(tables / "train.csv", rows)
    with pytest.raises(InputError, match="needs one class for each row or base, got values"):
        run(tables, class_weights="balanced")
    assert not (tables / "out").exists()


def test_the_arguments_of_the_trainer_follow_the_configuration(tmp_path):
    keys = {"learning_rate": 0.5, "weight_decay": 0.3, "clip_norm": 2.0, "warmup_fraction": 0.5}
    config = FinetuneConfig(train="t.csv", epochs=4, device="cpu", **keys)
    found = finetune_arguments(config, str(tmp_path), seed=7, steps_per_epoch=5)
    assert (found.learning_rate, found.weight_decay, found.max_grad_norm) == (0.5, 0.3, 2.0)
    assert (found.warmup_steps, found.max_steps, found.eval_steps, found.seed) == (10, 20, 5, 7)
    rates = [FinetuneConfig(train="t", model="m", adapt=how).peak_rate for how in ("full", "head")]
    assert rates == [6e-4, 1e-2]


def test_several_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="one process"):
        finetune_arguments(FinetuneConfig(train="t"), str(tmp_path), seed=0, steps_per_epoch=5)


def test_the_model_is_made_as_the_configuration_says(tables):
    keys = {"pooling": "last", "head_dropout": 0.5, "embed_dropout": 0.3}
    out = run(tables, reverse_complement_p=1.0, class_weights="balanced", **keys)
    config = load_classifier(str(out)).config
    assert (config.pooling, config.head_dropout, config.embed_dropout) == ("last", 0.5, 0.3)
    assert (config.id2label, config.problem_type) == (
        {0: "0", 1: "1"}, "single_label_classification",
    )  # fmt: skip
    scratch = run(tables, "scratch", model=None, context_length=40)
    assert load_classifier(str(scratch)).config.context_length == 40


def test_the_mean_of_both_strands_is_measured_on_request(made, tables):
    forward, average = made, run(tables, strand="average")
    assert torch.equal(weights(forward)["head.linear.bias"], weights(average)["head.linear.bias"])
    losses = [metrics(out)["validation"]["loss"]["mean"] for out in (forward, average)]
    assert losses[0] != losses[1]


def test_a_nan_loss_is_an_error(tables):
    with pytest.raises(WorkError, match="NaN or infinite"):
        run(tables, learning_rate=1e30, clip_norm=1e30, warmup_fraction=0.0)
    assert not (tables / "out" / METRICS).exists()


def test_no_sequence_of_validation_is_in_training_on_either_strand(tables):
    rows = motif_rows(60)
    write_rows(tables / "train.csv", rows + rows[:30])
    data = read_labelled(FinetuneConfig(train=str(tables / "train.csv")), None)
    training = {tokens.tobytes() for tokens in data.training.sequences}
    assert not training & {tokens.tobytes() for tokens in data.validation.sequences}
    assert len(data.training) + len(data.validation) == 90


def test_what_is_better():
    assert is_better("loss", {"loss": 1.0}, {"loss": 2.0})
    assert is_better("mcc", {"mcc": 0.2}, {"mcc": 0.1})
    assert is_better("mcc", {"mcc": 0.2}, {"mcc": float("nan")})
    assert not is_better("mcc", {"mcc": float("nan")}, {"mcc": 0.1})


def test_only_matrices_decay():
    names = decayed_parameters(load_head())
    assert "head.linear.weight" in names
    assert not [name for name in names if "filters" in name or "norm" in name or "bias" in name]


def load_head():
    return HyenaDNAForSequenceClassification(toys.config(num_labels=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adapt": "head", "model": None}, "adapt=head trains on top"),
        ({"preset": "tiny"}, "model fixes the size of the network"),
        ({"preset": "huge", "model": None}, "preset must be one of"),
        ({"pooling": "median"}, "pooling must be one of"),
        ({"crop": "right"}, "crop must be one of"),
        ({"kind": "ranking"}, "kind must be one of"),
        ({"label_columns": [" a", "b"]}, "a label cannot begin or end with blanks; .* ' a'"),
    ],
)
def test_an_invalid_configuration_is_an_error(tables, change, message):
    with pytest.raises(ValueError, match=message):
        run(tables, **change)
