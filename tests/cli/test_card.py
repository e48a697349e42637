"""megabase card as a shell runs it."""

import pytest

from megabase.model.load import save
from tests import toys
from tests.cli.command import run
from tests.cli.test_bad_input import refused
from tests.labelled_tables import write_task

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

TASK = "genomic_benchmarks/human_enhancers_cohn"
FEW = ["--seeds", 1, "--epochs", 1, "--set", "device=cpu", "--quiet"]


@pytest.fixture
def data(tmp_path):
    return write_task(tmp_path, 30, 12)


def test_a_card_of_the_head_alone_is_made_once(capsys, data, tmp_path):
    save(toys.model(), tmp_path / "model")
    out = tmp_path / "out"
    asked = ["card", TASK, "--data", data, "--model", tmp_path / "model", "--output", out]
    asked += ["--rows", "all", "--adapt", "head", *FEW]
    first = run(capsys, *asked)
    assert first.code == 0, first.err
    assert first.out.startswith(f"## Evaluation card: {TASK}")
    assert "adapt=head" in first.out
    assert first.out.strip().endswith(str(out / "card.html"))
    cost = (out / "card.md").read_text().partition("## Cost to adapt")[2].partition("##")[0]
    moved = [line.split("|")[-2].strip() for line in cost.splitlines() if line.startswith("| 26 |")]
    assert moved[0].startswith("18 of ")
    assert len(set(moved[1].split(" of "))) == 1
    assert run(capsys, *asked).out == first.out


def test_a_card_without_a_pretrained_model_is_refused(capsys, data, tmp_path):
    answer = run(capsys, "card", TASK, "--data", data, "--output", tmp_path / "out", *FEW)
    refused(answer, "a card compares a pretrained model with one from scratch of the same size")
    assert not (tmp_path / "out").exists()
