"""Demonstrations on a task: which rows, which figures, and what is written."""

import json

import numpy as np
import pytest

from megabase.errors import InputError
from megabase.evaluation import few_shot as module
from megabase.evaluation.few_shot import evaluate_few_shot
from megabase.model.load import save
from megabase.runtime.artifacts import exclusive_lock
from tests import toys
from tests.cli.command import run

TASK = "in_context/human_enhancers_cohn"


def write_rows(folder, **splits):
    folder.mkdir(parents=True)
    for split, rows in splits.items():
        lines = [f"{letters}\t{number % 2}" for number, letters in enumerate(rows)]
        (folder / f"{split}.tsv").write_text("\n".join(["sequence\tlabel", *lines]) + "\n")


@pytest.fixture
def data(tmp_path):
    test = [toys.letters(8, seed=100 + number) for number in range(16)]
    train = test[:1] + [toys.letters(10, seed=number) for number in range(11)]
    write_rows(tmp_path / "data" / "human_enhancers_cohn", train=train, test=test)
    save(toys.model(max_seq_len=116), tmp_path / "model")
    return tmp_path


def evaluate(data, **options):
    return evaluate_few_shot(
        [TASK], data / "data", model=str(data / "model"), output=data / "out", **options
    )


def test_each_number_of_shots_and_seed_has_figures_next_to_the_majority(data, caplog):
    caplog.set_level("INFO", logger="megabase")
    results = evaluate(data, shots=(0, 2), seeds=2, n_queries=15)
    accuracies = [each for each in results if each.metric == "accuracy"]
    assert [(each.model, each.seed) for each in accuracies] == [
        ("most frequent class", None), ("model, 0 shots a class", None),
        ("model, 2 shots a class", 0), ("model, 2 shots a class", 1),
    ]  # fmt: skip
    assert {each.n_test for each in results} == {15}
    assert all(each.interval is not None for each in accuracies)
    assert all(sum(each.settings["predicted"]) == 15 for each in accuracies[1:])
    assert "using 15 of 16 test rows" in caplog.text
    assert "GiB at the peak" in caplog.text
    written = json.loads((data / "out" / "few_shot.json").read_text())
    (task,) = written["tasks"]
    assert (task["n_queries"], task["n_test_rows"], task["letters"]) == (15, 16, "AN")
    assert len(written["results"]) == len(results) == 12


def test_tuning_changes_the_answers_and_is_part_of_the_name(data):
    options = {"shots": (1,), "seeds": 1}
    tuned = evaluate(data, tune=4, **options)
    (task,) = json.loads((data / "out" / "few_shot.json").read_text())["tasks"]
    assert task["n_training_rows_left_out_as_queries"] == 1
    plain = evaluate(data, overwrite=True, **options)
    (name,) = {each.model for each in tuned} - {"most frequent class"}
    assert name == "model, 1 shots a class, tuned on 4"
    auroc = [[each.value for each in some if each.metric == "auroc"][1] for some in (tuned, plain)]
    assert np.isfinite(auroc).all()
    assert tuned[-1].settings["learning_rate"] == 1e-4
    assert [each.seed for each in tuned] == [None] * 3 + [0] * 3


def test_the_same_again_is_read_and_another_request_refused(data, caplog):
    caplog.set_level("INFO", logger="megabase")
    first = evaluate(data, shots=(0,), seeds=1)
    assert evaluate(data, shots=(0,), seeds=1) == first
    assert "is finished already" in caplog.text
    with pytest.raises(ValueError, match=r"another request \(shots was"):
        evaluate(data, shots=(1,), seeds=1)


def test_figures_that_were_done_before_a_kill_are_not_measured_again(data, monkeypatch, caplog):
    caplog.set_level("INFO", logger="megabase")
    options = {"shots": (1,), "tune": 2, "seeds": 3}
    tune, seen = module.tune_few_shot, []

    def watched(*arguments, seed, **more):
        if seed == 2 and "killed" not in seen:
            seen.append("killed")
            raise KeyboardInterrupt
        seen.append(seed)
        return tune(*arguments, seed=seed, **more)

    monkeypatch.setattr(module, "tune_few_shot", watched)
    with pytest.raises(KeyboardInterrupt):
        evaluate(data, **options)
    assert not (data / "out" / "few_shot.json").exists()
    found = evaluate(data, **options)
    assert seen == [0, 1, "killed", 2]
    assert "2 of 3 parts are done" in caplog.text
    assert {path.name for path in (data / "out").iterdir() if path.suffix != ".json"} == {
        "few_shot.md"
    }
    assert evaluate(data, overwrite=True, **options) == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"shots": (5,)},
            "10 demonstrations of up to 10 bp .* reads at most 114; 4 such shots per class fit",
        ),
        ({"shots": (4,), "tune": 2}, "and a query of 10 bp make a prompt of 115 tokens"),
        ({"shots": ()}, "at least 0, got none"),
        ({"shots": (1, 1)}, "distinct and at least 0, got 1, 1"),
        ({"tune": -1}, "tune must be at least 0, got -1"),
        ({"n_queries": 0}, "queries must be at least 1, got 0"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(data, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(data, **options)
    assert not (data / "out").exists()


def test_a_task_without_classes_is_refused(data):
    with pytest.raises(ValueError, match="is multilabel and has no classes"):
        evaluate_few_shot(["chromatin_profile/1k"], None, model="m", output=data / "out")


def test_the_command(capsys, data):
    options = ["--data", data / "data", "--model", data / "model", "--output", data / "out"]
    more = ["--shots", "0,1", "--tune", "2", "--seeds", "2", "--queries", "9", "--quiet"]
    answer = run(capsys, "evaluate", "few-shot", TASK, *options, *more)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (data / "out" / "few_shot.md").read_text()
    assert "| model, 1 shots a class, tuned on 2 |" in answer.out
    assert answer.out.count("(2 seeds)") == 6
    wrong = run(capsys, "evaluate", "few-shot", TASK, *options, "--shots", "0;2")
    assert wrong.code == 2
    assert "--shots needs whole numbers with commas" in wrong.err


def test_two_processes_do_not_write_one_folder(data):
    with (
        exclusive_lock(data / "out"),
        pytest.raises(InputError, match="another process is writing"),
    ):
        evaluate(data, shots=(0,))
