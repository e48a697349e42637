"""Rows with any number of labels are learnt, measured, saved and predicted."""

import json

import numpy as np
import pytest

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictions import predictions
from megabase.model.load import load_classifier
from megabase.training import outcome as module
from megabase.training.finetune import METRICS, PREDICTIONS, adapt, finetune
from megabase.training.labelled import LabelledData, read_labelled
from megabase.training.run_config import AdaptConfig, FinetuneConfig
from tests.labelled_tables import read_rows, write_rows

MOTIFS = {"TATA": "TATAAA", "GATA": "AGATAA"}
SMALL = {"n_seeds": 1, "epochs": 1, "batch_size": 16, "device": "cpu", "preset": "tiny"}


def rows_of(n, seed=0):
    """Give random sequences, and which of two motifs they have: none, one or both."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(n):
        names = [name for bit, name in enumerate(MOTIFS) if number >> bit & 1]
        letters = "".join(rng.choice(list("CG"), size=8))
        sequence = letters + "".join(MOTIFS[name] + letters for name in names)
        rows.append({"sequence": sequence, "label": ";".join(names)})
    return rows


def tuned(folder, name="out", **changes):
    config = FinetuneConfig(**({"train": str(folder / "train.csv"), **SMALL} | changes))
    finetune(config, folder / name)
    return folder / name


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("multilabel")
    write_rows(folder / "train.csv", rows_of(160))
    write_rows(folder / "test.csv", rows_of(24, seed=1))
    keys = {"epochs": 6, "learning_rate": 3e-3, "pooling": "max"}
    return tuned(folder, test=str(folder / "test.csv"), kind="multilabel", **keys)


@pytest.mark.learned
def test_two_motifs_are_learnt_side_by_side(made):
    found = json.loads((made / METRICS).read_text())
    assert (found["kind"], found["classes"]) == ("multilabel", ["GATA", "TATA"])
    assert found["test"]["auroc_median"]["mean"] > 0.9
    assert found["test"]["n_labels"]["mean"] == 2
    assert found["calibration"]["of"] == "test"
    assert 0 < found["calibration"]["brier_score"] < 0.25
    assert (made / "test.png").stat().st_size > 1000
    low, high = found["test"]["auprc_median"]["interval"]
    assert low <= found["test"]["auprc_median"]["best_seed"] <= high


def test_predictions_are_those_of_the_saved_model(made):
    rows, model = read_rows(made / PREDICTIONS), load_classifier(str(made))
    assert list(rows[0]) == ["sequence", "label", "predicted", "p_GATA", "p_TATA"]
    sequences = [DNA_VOCABULARY.encode(row["sequence"]).tokens for row in rows]
    for row, answer in zip(rows, predictions(model, sequences), strict=True):
        assert [row["p_GATA"], row["p_TATA"]] == [f"{p:.8g}" for p in answer]
        chosen = [name for name, p in zip(("GATA", "TATA"), answer, strict=True) if p >= 0.5]
        assert row["predicted"] == ";".join(chosen)


def test_the_loss_of_validation_is_the_mean_cross_entropy_of_a_label(made):
    found = json.loads((made / METRICS).read_text())
    data = read_labelled(FinetuneConfig(**found["config"]), None)
    model = load_classifier(str(made))
    answers = np.stack(list(predictions(model, data.validation.sequences)))
    truths = data.validation.labels
    loss = -(truths * np.log(answers) + (1 - truths) * np.log1p(-answers)).mean()  # pyright: ignore[reportOperatorIssue]
    assert found["validation"]["loss"]["mean"] == pytest.approx(loss, rel=1e-4)


def test_columns_say_the_same_as_names(tmp_path):
    names = rows_of(40)
    columns = [
        {"sequence": row["sequence"]} | {name: int(name in row["label"]) for name in MOTIFS}
        for row in names
    ]
    write_rows(tmp_path / "train.csv", names)
    write_rows(tmp_path / "columns.csv", columns)
    one = read_labelled(FinetuneConfig(train=str(tmp_path / "train.csv"), kind="multilabel"), None)
    keys = {"train": str(tmp_path / "columns.csv"), "label_columns": ("GATA", "TATA")}
    other = read_labelled(FinetuneConfig(**keys), None)
    assert one.labels == other.labels
    np.testing.assert_array_equal(one.training.labels, other.training.labels)
    write_rows(tmp_path / "columns.csv", [*columns, columns[0] | {"GATA": "yes"}])
    with pytest.raises(InputError, match="row 41: column 'GATA' has 'yes'; expected 0 or 1"):
        read_labelled(FinetuneConfig(**keys), None)


def in_memory(n_rows=30, n_labels=5):
    """Give rows of which the last label is in all, and the one before in none."""
    rng = np.random.default_rng(0)
    truths = (rng.random((n_rows, n_labels)) < 0.5).astype(np.uint8)
    truths[:, -1], truths[:, -2] = 1, 0
    tokens = DNA_VOCABULARY.encode("ACGTTGCA").tokens
    rows = Examples([tokens] * n_rows, truths)
    labels = Labels(tuple(f"l{number}" for number in range(n_labels)), is_multilabel=True)
    test_rows = [{"id": str(number)} for number in range(n_rows)]
    return LabelledData(labels, rows, rows, rows, test_rows, 8)


def test_labels_held_in_memory_are_learnt_and_those_that_do_not_vary_counted(tmp_path, monkeypatch):
    config = AdaptConfig(**SMALL)
    adapt(config, in_memory(), None, tmp_path / "out", command="test", inputs={})
    test = json.loads((tmp_path / "out" / METRICS).read_text())["test"]
    assert (test["n_labels"]["mean"], test["n_labels_left_out"]["mean"]) == (3, 2)
    assert test["auroc_median"]["interval"] is not None
    monkeypatch.setattr(module, "_MOST_CELLS", 10)
    adapt(config, in_memory(), None, tmp_path / "many", command="test", inputs={})
    test = json.loads((tmp_path / "many" / METRICS).read_text())["test"]
    assert test["auroc_median"]["interval"] is None


def test_rows_of_several_labels_have_no_class_to_balance(tmp_path):
    config = AdaptConfig(**SMALL, class_weights="balanced")
    with pytest.raises(InputError, match="got several labels; leave it out"):
        adapt(config, in_memory(), None, tmp_path / "out", command="test", inputs={})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "regression", "label_columns": ("a",)}, "label_columns need kind multilabel"),
        ({"label_columns": ("a", "a")}, "names a column twice"),
        ({"label_columns": ("a;b",)}, "rename the column 'a;b'"),
    ],
)
def test_invalid_columns_are_an_error(keys, message):
    with pytest.raises(ValueError, match=message):
        FinetuneConfig(train="t.csv", **keys)
