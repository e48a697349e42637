"""A card sets a pretrained model beside its equal from scratch, on the same rows."""

import json

import numpy as np
import pytest

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.errors import InputError
from megabase.evaluation import card as module
from megabase.evaluation.card import JSON, PAGE, TEXT, evaluate_card, part_of, read_sizes
from megabase.evaluation.card_systems import Training
from megabase.evaluation.tasks.task_data import Choice
from megabase.metrics.calibration import brier_score
from megabase.model.load import load, save
from megabase.report.card_report import EFFICIENCY, RELIABILITY
from megabase.training.fit import starting_model
from megabase.training.labelled import LabelledData
from megabase.training.run_config import AdaptConfig
from tests import toys
from tests.labelled_tables import write_task

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

TASK = "genomic_benchmarks/human_enhancers_cohn"
FEW = {"n_seeds": 2, "epochs": 1, "device": "cpu", "batch_size": 16}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "model"
    save(toys.model(), folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_task(tmp_path_factory.mktemp("data"), 44, 20)


def made(data, model, output, *, rows="8,all", protocol="clean", **settings):
    config = AdaptConfig(**({"model": str(model)} | FEW | settings))
    choice = Choice(data, protocol)
    return evaluate_card(TASK, output, choice=choice, settings=config, rows=rows)


@pytest.fixture(scope="module")
def out(data, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "out"
    patch = pytest.MonkeyPatch()
    seen = []
    run = Training.run

    def watched(self, folder, meter):
        record, answers = run(self, folder, meter)
        seen.append((self, record, answers))
        return record, answers

    patch.setattr(Training, "run", watched)
    made(data, model, out)
    patch.undo()
    return out, seen


@pytest.fixture(scope="module")
def report(out):
    return json.loads((out[0] / JSON).read_text())


def test_all_systems_learn_from_the_same_nested_rows(out, report):
    rows = {}
    for training, _, _ in out[1]:
        part = training.data
        letters = [tokens.tobytes() for tokens in part.training.sequences]
        held = [tokens.tobytes() for tokens in part.validation.sequences]
        key = training.seed, len(part.training)
        assert rows.setdefault(key, (letters, held)) == (letters, held)
        assert abs(int(np.diff(np.bincount(part.training.labels))[0])) <= 1
    assert set(rows) == {(seed, n) for seed in (0, 1) for n in (8, 40)}
    for seed in (0, 1):
        assert set(rows[seed, 8][0]) < set(rows[seed, 40][0])
    assert rows[0, 8][0] != rows[1, 8][0]
    assert rows[0, 40] == rows[1, 40]
    assert [len(rows[0, n][1]) for n in (8, 40)] == [4, 4]
    assert report["rows"] == [8, 40]


def test_pretrained_starts_from_the_model_and_scratch_from_its_size_alone(out, model):
    training = next(each for each, _, _ in out[1] if each.system == "from scratch")
    arguments = training.settings, training.data, training.language
    loaded, drawn, other = (
        starting_model(*arguments, seed=seed, is_fresh=is_fresh)[0]
        for seed, is_fresh in ((0, False), (0, True), (1, True))
    )
    assert drawn.config.to_dict() == loaded.config.to_dict()
    there = load(str(model)).model.backbone.state_dict()
    for name, tensor in loaded.backbone.state_dict().items():
        assert tensor.equal(there[name])
    states = [each.state_dict() for each in (loaded, drawn, other)]
    names = [name for name, tensor in states[1].items() if not tensor.equal(states[2][name])]
    assert names
    for name in names:
        is_head = not name.startswith("backbone.")
        assert states[0][name].equal(states[1][name]) == is_head


def test_the_report_has_the_figures_of_what_was_trained(out, report):
    _, trained = out
    last = {
        system: [answers for each, record, answers in trained
                 if each.system == system and record["n_rows"] == 40]
        for system in ("pretrained", "from scratch", "k-mers")
    }  # fmt: skip
    assert [len(answers) for answers in last.values()] == [2, 2, 1]
    assert not np.allclose(last["pretrained"][0], last["from scratch"][0])
    labels = trained[0][0].test.labels
    for system, answers in last.items():
        accuracies = [float(np.mean(each.argmax(axis=1) == labels)) for each in answers]
        stability = report["stability"][system]["accuracy"]
        assert stability["mean"] == pytest.approx(np.mean(accuracies))
        assert (stability["least"], stability["most"]) == (min(accuracies), max(accuracies))
        brier = np.mean([brier_score("binary", labels, each) for each in answers])
        assert report["calibration"][system]["brier"]["mean"] == pytest.approx(brier)
        point = [x for x in report["curve"] if x["system"] == system and x["n_rows"] == 40]
        assert point[0]["mean"] == stability["mean"]
    moved = {each["system"]: each["n_moving"] / each["n_parameters"] for each in report["cost"]}
    assert set(moved.values()) == {1.0}
    assert all(each["seconds"]["mean"] > 0 for each in report["cost"])
    assert {each["peak_memory_bytes"] > 2**26 for each in report["cost"]} == {True}


def test_the_card_is_read_as_text_and_as_a_page_with_its_figures(out, report):
    folder = out[0]
    text, page = (folder / TEXT).read_text(), (folder / PAGE).read_text()
    reached = report["needed"][0]["reached"]
    assert f"With 8 training rows, pretrained reaches accuracy {reached:.3f}" in text
    assert report["majority"] == 0.5
    assert "Predicting the majority (or mean) of the training labels reaches 0.500." in text
    assert f"means over seeds: {report['difference']['value']:+.3f} [" in text
    assert page.count("data:image/png;base64,") == 2
    for title in ("Label efficiency", "Calibration", "Cost to adapt", "Stability", "Not tested"):
        assert f"## {title}" in text
        assert f"<h2>{title}</h2>" in page
    assert {EFFICIENCY, RELIABILITY} < {file.name for file in folder.iterdir()}
    assert not (folder / "parts").exists()


def test_an_interrupted_card_goes_on_after_what_is_done(data, model, tmp_path, monkeypatch):
    run, seen = Training.run, []

    def once(self, folder, meter):
        if seen:
            raise KeyboardInterrupt
        seen.append(self.system)
        return run(self, folder, meter)

    few = {"rows": "all", "n_seeds": 1}
    with monkeypatch.context() as patch:
        patch.setattr(Training, "run", once)
        with pytest.raises(KeyboardInterrupt):
            made(data, model, tmp_path / "out", **few)
    assert not (tmp_path / "out" / JSON).exists()
    kept = [json.loads(file.read_text()) for file in (tmp_path / "out" / "parts").glob("*.json")]
    assert [record["system"] for record in kept] == seen
    report = made(data, model, tmp_path / "out", **few)
    assert kept[0] in report["runs"]
    assert len(report["runs"]) == 3
    monkeypatch.setattr(module, "_write", once)
    assert made(data, model, tmp_path / "out", **few) == report
    with pytest.raises(InputError, match=r"settings.epochs was 1, is 2"):
        made(data, model, tmp_path / "out", **few, epochs=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "8,128,all"}, "has 40 training rows .* but --rows requests 128"),
        ({"rows": "8,1,all"}, "at least 2, or all, .* got '8,1,all'"),
        ({"protocol": "paper"}, "the protocol of a card must be clean; got 'paper'"),
        ({"select": "r2"}, "select must be one of loss, accuracy"),
        ({"sweep": {"learning_rate": (1e-3, 1e-4)}}, "a card has no sweep"),
        ({"adapt": "prompt", "prompt_tokens": 60}, "60 prompt tokens and a sequence of 26"),
    ],
)
def test_what_a_card_cannot_be_made_of_is_refused(data, model, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        made(data, model, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def values_data(targets, classes=()):
    rows = [np.full(4, 7 + number % 4, dtype=np.uint8) for number in range(len(targets))]
    of_type = np.int64 if classes else np.float32
    whole = Examples(rows, np.array(targets, dtype=of_type))
    labels = Labels(classes) if classes else Labels((), 0.0, 1.0)
    return LabelledData(labels, whole, whole, None, [], 4)


def test_the_unit_of_targets_is_that_of_the_rows_that_are_learned_from():
    data = values_data(np.arange(40.0).tolist())
    part = part_of(data, 10, seed=0, validation_seed=0)
    assert len(part.training) == len(part.validation) == 10
    assert part.labels.mean == pytest.approx(float(part.training.labels.mean()))
    assert part.labels.scale == pytest.approx(float(part.training.labels.std()))
    assert part.training.labels.min() < 10
    assert part.training.labels.max() >= 30


def test_validation_rows_are_the_same_and_no_more_than_training_rows():
    data = values_data([0, 1] * 20, ("no", "yes"))
    drawn = {
        (n, seed): part_of(data, n, seed=seed, validation_seed=0)
        for n in (6, 12)
        for seed in (0, 1)
    }
    rows = {
        key: [
            [id(tokens) for tokens in each.sequences] for each in (part.training, part.validation)
        ]
        for key, part in drawn.items()
    }
    assert rows[6, 0][0] != rows[6, 1][0]
    assert rows[6, 0][1] == rows[6, 1][1]
    assert [len(rows[n, 0][1]) for n in (6, 12)] == [6, 12]
    assert set(rows[6, 0][1]) < set(rows[12, 0][1])
    assert drawn[6, 0].validation.labels.tolist().count(1) == 3


def test_too_few_rows_for_each_class_are_refused():
    data = values_data([0] * 30 + [1], ("common", "rare"))
    assert read_sizes("4, all", data, name="toy") == (4, 31)
    assert read_sizes("4,8", data, name="toy") == (4, 8, 31)
    with pytest.raises(InputError, match=r"4 training rows .* have no row of class 'rare'"):
        part_of(data, 4, seed=0, validation_seed=0)
