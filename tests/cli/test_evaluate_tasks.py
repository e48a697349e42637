"""evaluate TASK as a shell runs it; an option that a task does not know is an error."""

import pytest

from tests.cli.command import run
from tests.cli.test_bad_input import refused
from tests.labelled_tables import write_task

TASK = "genomic_benchmarks/human_enhancers_cohn"
FEW = ["--seeds", 1, "--epochs", 1, "--set", "device=cpu", "--quiet"]


@pytest.fixture
def data(tmp_path):
    return write_task(tmp_path, 40, 20)


def test_a_task_is_named_before_or_after_options(capsys, data, tmp_path):
    out = tmp_path / "out"
    first = run(capsys, "evaluate", TASK, "--data", data, "--output", out, *FEW)
    assert first.code == 0, first.err
    assert f"| {TASK} | 20 | accuracy |" in first.out
    assert first.out.strip().endswith(str(out / "report.html"))
    again = run(capsys, "evaluate", "--data", data, *FEW, "--output", out, TASK)
    assert again.out == first.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["gue/tf/9"], "no task is called 'gue/tf/9'"),
        ([TASK, "--length", 100], "does not cut windows, so a length does not apply"),
        ([TASK, "--preset", "huge"], "preset must be one of"),
        ([TASK, "--probes"], "pass --model, or remove --probes"),
        (["biotypes/human"], "pass --probes and --model"),
    ],
)
def test_what_a_task_does_not_know_is_an_error(capsys, data, tmp_path, options, message):
    fixed = ["--data", data, "--output", tmp_path / "o"]
    refused(run(capsys, "evaluate", *options, *fixed), message)


@pytest.mark.parametrize("verb", ["evaluate", "card"])
@pytest.mark.parametrize("name", ["--substitute-split", "--stand-in"])
def test_another_split_may_be_used_by_the_new_and_the_former_name(capsys, data, verb, name):
    folder = data / "human_enhancers_cohn"
    (folder / "train.csv").rename(folder / "dev.csv")
    fixed = [verb, TASK, "--data", data, "--output", data / "o", "--model", "asset:default"]
    refused(run(capsys, *fixed), "in place of train with --substitute-split")
    too_little = [name, "--set", "memory_gib=0.1"]
    refused(run(capsys, *fixed, *too_little), "training on 26 tokens at once needs")


def test_the_former_name_of_an_option_is_not_shown(capsys):
    for verb in (["evaluate", TASK], ["card"]):
        shown = run(capsys, *verb, "--help").out
        assert "--substitute-split" in shown
        assert "--stand-in" not in shown


def test_an_option_of_another_task_is_misuse(capsys):
    answer = run(capsys, "evaluate", "perplexity", "--protocol", "paper")
    assert answer.code == 2
    assert "No such option: --protocol" in answer.err


def test_tasks_are_listed(capsys):
    lines = run(capsys, "evaluate", "list", "gue/tf").out.splitlines()
    assert lines[0].split("\t")[:3] == ["gue/tf/0", "binary", "mcc"]
    assert len(lines) == 5
