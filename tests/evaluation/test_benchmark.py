"""A model and its baselines are measured on the same rows, and biases are reported."""

import json

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.evaluation import baselines
from megabase.evaluation import benchmark as module
from megabase.evaluation.benchmark import PAGE, RESULTS, TEXT, evaluate_tasks
from megabase.evaluation.tasks.task_data import Choice
from megabase.model.load import save
from megabase.runtime.artifacts import exclusive_lock
from megabase.training.run_config import AdaptConfig
from tests import toys
from tests.labelled_tables import motif_rows, read_rows, write_rows

TASK = "genomic_benchmarks/human_enhancers_cohn"
FEW = {"n_seeds": 1, "epochs": 1, "device": "cpu", "batch_size": 16}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Rows of a task; one of the test repeats a training row, two are of the other strand."""
    data = tmp_path_factory.mktemp("data")
    folder = data / "human_enhancers_cohn"
    folder.mkdir()
    train, test = motif_rows(60), motif_rows(40, seed=1)
    test[0] = train[0]
    for place in (2, 4):
        turned = train[place]["sequence"][::-1].translate(str.maketrans("ACGT", "TGCA"))
        test[place] = train[place] | {"sequence": turned}
    write_rows(folder / "train.csv", train)
    write_rows(folder / "test.csv", test)
    return data


def evaluated(data, output, protocol="clean", **settings):
    config = AdaptConfig(**(FEW | settings))
    report = evaluate_tasks([TASK], output, choice=Choice(data, protocol), settings=config)
    return report["tasks"][0]


@pytest.fixture(scope="module")
def out(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated") / "out"
    evaluated(data, out)
    return out


@pytest.fixture(scope="module")
def report(out):
    return json.loads((out / RESULTS).read_text())["tasks"][0]


def test_all_baselines_are_measured_on_the_rows_of_the_model(report, out):
    models = ["majority", "k-mers", "CNN", "megabase, from scratch"]
    assert list(dict.fromkeys(row["model"] for row in report["results"])) == models
    assert report["n_rows_used"] == {"training": 54, "validation": 6, "test": 40}
    assert {row["n_test"] for row in report["results"]} == {40}
    accuracy = {r["model"]: r["value"] for r in report["results"] if r["metric"] == "accuracy"}
    assert accuracy["majority"] == 0.5
    predicted = read_rows(
        out / "tasks" / "genomic_benchmarks--human_enhancers_cohn" / "model" / "predictions.csv"
    )
    right = np.mean([row["label"] == row["predicted"] for row in predicted])
    assert accuracy[models[-1]] == pytest.approx(right)
    text = (out / TEXT).read_text()
    assert f"{accuracy['k-mers']:.4f}" in text
    assert "batch_size=16" in text
    assert "lora_rank" not in text
    assert "architecture" not in text  # a preset says it
    assert "<table>" in (out / PAGE).read_text()


def test_a_leaky_split_is_caught(report, out):
    assert report["leaks"]["exact"]["n"] == 1
    assert report["leaks"]["reverse_complement"]["n"] == 2
    assert report["leaks"]["is_leaky"]
    assert f"| {TASK} | 60 | 40 | 1 | 2 |" in (out / TEXT).read_text()


def test_published_figures_of_other_rows_are_left_out_with_a_note(report, out):
    assert report["published"] == []
    assert report["n_published_left_out"] > 0
    assert "published numbers are left out (train: 60 rows" in (out / TEXT).read_text()


def test_an_interrupted_run_goes_on_after_what_is_done(data, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    def again(*_, **__):
        raise AssertionError("this was done already")

    with monkeypatch.context() as patch:
        patch.setattr(module, "adapt", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluated(data, tmp_path / "out")
    assert not (tmp_path / "out" / RESULTS).exists()
    with monkeypatch.context() as patch:
        patch.setattr(module, "cnn", again)
        first = evaluated(data, tmp_path / "out")
    monkeypatch.setattr(module, "adapt", again)
    assert evaluated(data, tmp_path / "out") == first
    with pytest.raises(InputError, match=r"settings.epochs was 1, is 2"):
        evaluated(data, tmp_path / "out", epochs=2)


def collapsing(monkeypatch, rates):
    """Let the network answer one class at some learning rates, as if it had collapsed."""
    fit_cnn, seen = baselines.fit_cnn, []

    def fitted(*arguments, learning_rate, **options):
        seen.append(learning_rate)
        network, record = fit_cnn(*arguments, learning_rate=learning_rate, **options)
        if learning_rate in rates:
            network.head.linear.weight.data.zero_()
            record["validation"] |= {"mcc": 0.0, "loss": 0.7}
        else:
            record["validation"] |= {"mcc": 0.5, "loss": 0.1}
        return network, record

    monkeypatch.setattr(baselines, "fit_cnn", fitted)
    return seen


def test_a_baseline_that_collapsed_is_trained_once_more_and_both_are_kept(
    data, tmp_path, monkeypatch, caplog
):
    seen = collapsing(monkeypatch, [1e-3])
    report = evaluated(data, tmp_path / "out")
    assert seen == [1e-3, pytest.approx(3e-4)]
    assert "CNN, seed 0, collapsed" in caplog.text
    rows = [row for row in report["results"] if row["model"] == "CNN"]
    for row in rows:
        again, first = row["settings"]["attempts"]
        assert (first["learning_rate"], first["is_reported"]) == (1e-3, False)
        assert again["learning_rate"] == pytest.approx(3e-4)
        assert (again["value"], again["is_reported"]) == (row["value"], True)
    (first,) = [r["settings"]["attempts"][1] for r in rows if r["metric"] == "mcc"]
    assert first["value"] == 0
    text = (tmp_path / "out" / TEXT).read_text()
    line = "CNN: it collapsed on validation with learning rate 0.001, and was retrained"
    better = "the run with the better validation result is reported: 0.0003 (seed 0)."
    assert f"{line} with 0.0003; {better}" in text


def test_a_baseline_that_collapsed_twice_is_flagged_in_every_table(data, tmp_path, monkeypatch):
    collapsing(monkeypatch, [1e-3, 1e-3 * 0.3])
    evaluated(data, tmp_path / "out", n_seeds=2)
    text, page = ((tmp_path / "out" / name).read_text() for name in (TEXT, PAGE))
    lines = [line for line in text.splitlines() if line.startswith(f"| {TASK} | 40 |")]
    place = next(line for line in text.splitlines() if "| CNN |" in line).split(" | ").index("CNN")
    assert len(lines) > 4
    assert all(line.split(" | ")[place].endswith("(2 seeds), collapsed") for line in lines)
    assert "collapsed: the trained model is no better than predicting the most frequent" in text
    assert page.count("(2 seeds), collapsed</td>") >= len(lines)


def test_a_model_from_scratch_that_collapsed_is_trained_once_more(data, tmp_path, monkeypatch):
    save(toys.model(), tmp_path / "language")
    adapt, rates = module.adapt, []

    def collapsed(settings, rows, language, folder, *, is_fresh=False, **options):
        adapt(settings, rows, language, folder, is_fresh=is_fresh, **options)
        if is_fresh:
            rates.append(settings.peak_rate)
            report = json.loads((folder / "metrics.json").read_text())
            value = 0.0 if len(rates) == 1 else 0.9
            report["seeds"][0]["validation"]["mcc"] = value
            report["validation"]["loss"]["mean"] = 1 - value
            (folder / "metrics.json").write_text(json.dumps(report))

    monkeypatch.setattr(module, "adapt", collapsed)
    config = AdaptConfig(**FEW, model=str(tmp_path / "language"))
    report = evaluate_tasks(
        [TASK], tmp_path / "out", choice=Choice(data), settings=config, from_scratch=True
    )
    assert rates == [6e-4, pytest.approx(1.8e-4)]
    rows = [row for row in report["tasks"][0]["results"] if row["model"] == module.SCRATCH]
    assert {len(row["settings"]["attempts"]) for row in rows} == {2}


def test_the_papers_protocol_selects_on_the_test_and_is_marked(data, tmp_path, caplog):
    out = tmp_path / "out"
    report = evaluated(data, out, protocol="paper")
    assert "the best epoch is chosen on the reported test rows" in caplog.text
    assert "chosen ON THE REPORTED TEST ROWS" in (out / TEXT).read_text()
    assert report["n_rows_used"]["validation"] == 40
    metrics = json.loads(
        (
            out / "tasks" / "genomic_benchmarks--human_enhancers_cohn" / "model" / "metrics.json"
        ).read_text()
    )
    assert metrics["config"]["select"] == "accuracy"
    assert metrics["validation"]["mcc"]["mean"] == metrics["test"]["mcc"]["mean"]


@pytest.mark.learned
def test_a_model_of_shuffled_labels_is_at_chance(tmp_path):
    folder = tmp_path / "human_enhancers_cohn"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, n in (("train", 250), ("test", 400)):
        labels = rng.permutation(np.arange(n) % 2)
        letters = ("".join(rng.choice(list("ACGT"), size=24)) for _ in labels)
        rows = [
            {"sequence": each, "label": str(i)} for each, i in zip(letters, labels, strict=True)
        ]
        write_rows(folder / f"{name}.csv", rows)
    report = evaluated(tmp_path, tmp_path / "out", epochs=3, learning_rate=2e-3)
    accuracy = {r["model"]: r["value"] for r in report["results"] if r["metric"] == "accuracy"}
    error = np.sqrt(0.25 / 400)
    for value in accuracy.values():
        assert abs(value - 0.5) < 3 * error


def test_a_task_without_rows_to_learn_from_is_refused(tmp_path):
    (tmp_path / "human_enhancers_cohn").mkdir()
    write_rows(tmp_path / "human_enhancers_cohn" / "test.csv", motif_rows(4))
    with pytest.raises(InputError, match="train"):
        evaluated(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"select": "spearman"}, "select must be one of loss, accuracy"),
        ({"adapt": "prompt", "prompt_tokens": 60}, "60 prompt tokens and a sequence of 26"),
        ({"adapt": "prompt", "sweep": {"prompt_tokens": (4, 60)}}, "60 prompt tokens and"),
    ],
)
def test_what_the_model_cannot_do_is_refused_before_baselines_are_trained(
    data, tmp_path, settings, message
):
    save(toys.model(), tmp_path / "model")
    with pytest.raises(InputError, match=message):
        evaluated(data, tmp_path / "out", model=str(tmp_path / "model"), **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_training_from_scratch_is_reported_next_to_the_pretrained_model_without_its_weights(
    data, tmp_path
):
    found = []
    for seed in (1, 2):
        save(toys.model(seed=seed), tmp_path / str(seed))
        settings = AdaptConfig(**FEW, model=str(tmp_path / str(seed)))
        report = evaluate_tasks(
            [TASK], tmp_path / f"out-{seed}", choice=Choice(data), settings=settings,
            from_scratch=True,
        )  # fmt: skip
        rows = report["tasks"][0]["results"]
        found.append({(row["model"], row["metric"]): row["value"] for row in rows})
    assert list(dict.fromkeys(model for model, _ in found[0]))[-2:] == [
        "megabase, from scratch",
        "megabase, pretrained, full",
    ]
    scratch, pretrained = (
        [{metric: each[model, metric] for model, metric in each if model == name} for each in found]
        for name in ("megabase, from scratch", "megabase, pretrained, full")
    )
    assert scratch[0] == scratch[1]
    assert pretrained[0] != pretrained[1]
    assert scratch[0] not in pretrained


def test_from_scratch_without_a_pretrained_model_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="none was given; name one with --model"):
        evaluate_tasks(
            [TASK], tmp_path / "out", choice=Choice(data), settings=AdaptConfig(**FEW),
            from_scratch=True,
        )  # fmt: skip


def test_the_report_has_what_was_swept_and_for_which_model(data, tmp_path):
    evaluated(data, tmp_path / "out", sweep={"learning_rate": (1e-3, 1e-4)})
    text = (tmp_path / "out" / TEXT).read_text()
    assert "learning_rate swept on the validation rows for the model alone" in text


def test_a_folder_that_another_process_writes_is_left_alone(data, tmp_path):
    with exclusive_lock(tmp_path / "out"), pytest.raises(InputError, match="another process"):
        evaluated(data, tmp_path / "out")


def test_an_unknown_protocol_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="protocol must be one of clean, paper; got 'best'"):
        evaluated(data, tmp_path / "out", protocol="best")


def test_equal_labels_are_an_error_before_any_work(tmp_path):
    folder = tmp_path / "human_enhancers_cohn"
    folder.mkdir()
    for split in ("train", "test"):
        write_rows(folder / f"{split}.csv", [row | {"label": "1"} for row in motif_rows(9)])
    with pytest.raises(InputError, match="all training rows are of one class"):
        evaluated(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
