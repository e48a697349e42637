"""The command writes whole FASTA with likelihoods that a score confirms, or one clear line."""

import csv
import json
import re

import pytest

from megabase.model.load import save
from tests import toys
from tests.cli.command import run

MODEL = toys.model(max_seq_len=102)


@pytest.fixture
def model(tmp_path):
    save(MODEL, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def prompt(tmp_path):
    return toys.write_fasta(tmp_path / "prompt.fa", {"a": "ACGTNNacgt", "b": toys.letters(30)})


def read(path):
    """Give the header's words and the letters of each sequence."""
    records = [record.split("\n") for record in path.read_text().split(">")[1:]]
    return [(header.split(), "".join(lines)) for header, *lines in records]


def likelihood(words):
    return float(words[2].removeprefix("log_likelihood="))


def test_sequences_from_nothing_have_the_likelihood_that_score_finds(capsys, model, tmp_path):
    output = tmp_path / "new.fa"
    answer = run(capsys, "generate", "-m", model, "--length", 100, "-o", output, "--number", 3)
    assert (answer.code, answer.out) == (0, f"{output}\n")
    assert "generating: 300 bases" in answer.err
    made = read(output)
    assert [words[:2] for words, _ in made] == [
        [f"generated_{k}", "prompt_length=0"] for k in (1, 2, 3)
    ]
    assert all(re.fullmatch("[ACGT]{100}", letters) for _, letters in made)
    assert len({letters for _, letters in made}) == 3
    run(capsys, "score", "-m", model, "-i", output, "-o", tmp_path / "scores.tsv")
    with (tmp_path / "scores.tsv").open() as file:
        scores = [float(row["log_likelihood"]) for row in csv.DictReader(file, dialect="excel-tab")]
    assert [likelihood(words) for words, _ in made] == pytest.approx(scores, rel=1e-4)


def test_each_prompt_is_continued_and_the_record_describes_how(capsys, model, prompt, tmp_path):
    output = tmp_path / "next.fa"
    options = ["-m", model, "-n", 50, "-o", output, "--prompt", prompt, "--seed", 7, "-k", 2]
    assert run(capsys, "generate", *options, "--temperature", 0.5).code == 0
    names = [words[:2] for words, _ in read(output)]
    assert names == [["a_1", "prompt_length=10"], ["a_2", "prompt_length=10"],
                     ["b_1", "prompt_length=30"], ["b_2", "prompt_length=30"]]  # fmt: skip
    record = json.loads((tmp_path / "next.fa.megabase.json").read_text())
    assert record["finished"]
    assert (record["request"]["seed"], record["request"]["temperature"]) == (7, 0.5)
    assert "finished already" in run(capsys, "generate", *options, "--temperature", 0.5).err


@pytest.mark.parametrize(
    "options", [["--seed", 1], ["--temperature", 3], ["--top-k", 1], ["--top-p", 0.4]]
)
def test_each_option_of_the_draw_changes_what_is_written(capsys, model, tmp_path, options):
    common = ["generate", "-m", model, "-n", 60]
    run(capsys, *common, "-o", tmp_path / "plain.fa")
    run(capsys, *common, "-o", tmp_path / "again.fa")
    run(capsys, *common, "-o", tmp_path / "other.fa", *options)
    plain, again, other = (read(tmp_path / f"{n}.fa") for n in ("plain", "again", "other"))
    assert plain == again
    assert plain != other


def test_more_sequences_leave_the_first_as_they_are(capsys, model, prompt, tmp_path):
    common = ["generate", "-m", model, "-n", 40, "--prompt", prompt]
    run(capsys, *common, "-o", tmp_path / "few.fa")
    run(capsys, *common, "-o", tmp_path / "many.fa", "-k", 9)
    many = {words[0]: letters for words, letters in read(tmp_path / "many.fa")}
    assert all(many[words[0]] == letters for words, letters in read(tmp_path / "few.fa"))


def test_bases_of_a_template_are_kept(capsys, model, tmp_path):
    template = toys.write_fasta(tmp_path / "fixed.fa", {"box": "NNNNTATAATNNNN"})
    output = tmp_path / "new.fa"
    answer = run(capsys, "generate", "-m", model, "-n", 14, "-o", output, "--template", template)
    assert answer.code == 0
    assert read(output)[0][1][4:10] == "TATAAT"


def test_motifs_are_absent_and_gc_lies_in_the_range(capsys, model, prompt, tmp_path):
    output = tmp_path / "new.fa"
    options = ["-m", model, "-n", 60, "-o", output, "--prompt", prompt, "-k", 4]
    asked = ["--forbid", "tana", "--forbid", "CCWGG", "--gc", "0.5-0.55"]
    answer = run(capsys, "generate", *options, *asked)
    assert answer.code == 0
    assert "constraint: no TANA CCWGG on either strand and GC of 0.5-0.55 (" in answer.err
    made = [letters for _, letters in read(output)]
    assert len(made) == 8
    for letters in made:
        assert not re.search("TA.A|T.TA|CC[AT]GG", letters)
        assert 30 <= sum(letters.count(base) for base in "CG") <= 33
    request = json.loads((tmp_path / "new.fa.megabase.json").read_text())["request"]
    assert (request["forbid"], request["gc"]) == ("TANA CCWGG", "0.5-0.55")
    assert "finished already" in run(capsys, "generate", *options, *asked).err
    other = run(capsys, "generate", *options, *asked[:2])
    assert (other.code, "forbid was 'TANA CCWGG', is 'TANA'" in other.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", 101], "a length of 101 bp is more than the 100 bp that the model reads; "
                      "shorten it, or train with --context-length 101 or more"),
        (["-n", 0], "at least 1 base, got 0"),
        (["-n", 5, "--temperature", 0], "temperature must be above 0, got 0"),
        (["-n", 5, "--top-p", 0], "top-p must be above 0 and at most 1, got 0"),
        (["-n", 5, "--top-p", 1.1], "top-p must be above 0 and at most 1, got 1.1"),
        (["-n", 5, "--top-k", 5], "top-k must be from 1 to 4 bases, got 5"),
        (["-n", 5, "--number", 0], "at least 1, got 0"),
        (["-n", 5, "--seed", -1], "a seed must be 0 or more, got -1"),
        (["-n", 5, "--prompt", "none.fa"], "none.fa"),
        (["-n", 5, "--prompt", ">a\nACGRT\n"], "'R' at position 3 (counted from 0) of a in"),
        (["-n", 5, "--prompt", ">a\nACGXT\n"], "is not one of A C G T N"),
        (["-n", 71, "--prompt", f">a\n{'A' * 30}\n"], "a prompt of 30 bp and a length of 71 bp"),
        (["-n", 5, "--template", ">a\nACG\n"], "template has 3 letters, and 5 bases"),
        (["-n", 5, "--template", ">a\nACG\n>b\nAC\n"], "a template must be one sequence"),
        (["-n", 5, "--forbid", "GAXTC"], "a motif consists of A C G T N R"),
        (["-n", 5, "--gc", "40-60"], "40 % is 0.4"),
        (["-n", 5, "--gc", "0.6-0.4"], "lies within 0-1, lower end first; got 0.6-0.4"),
        (["-n", 5, "--gc", "half"], "is LOW-HIGH, such as 0.4-0.6; got 'half'"),
        (["-n", 5, "--gc", "0.5-0.5"], "no number of G and C in 5 bases gives a GC of 0.5-0.5"),
        (["-n", 5, "--forbid", "N"], "5 bases meets the constraint: no N on either strand"),
        (["-n", 0, "--gc", "0.5-0.5"], "at least 1 base, got 0"),
        (["-n", 5, "--forbid", "TTC", "--template", ">a\nNGAAN\n"],
         "the template contains a forbidden motif that ends at position 3"),
        (["-n", 3, "--gc", "0.9-1", "--template", ">a\nNNA\n"],
         "no sequence of 3 bases meets the constraint: GC of 0.9-1 and the template"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line_and_leaves_nothing(capsys, model, tmp_path, options, message):
    if str(options[-1]).startswith(">"):
        (tmp_path / "bad.fa").write_text(options[-1])
        options = [*options[:-1], tmp_path / "bad.fa"]
    answer = run(capsys, "generate", "-m", model, "-o", tmp_path / "new.fa", *options)
    (line,) = [line for line in answer.err.splitlines() if line.startswith("megabase: error: ")]
    assert answer.code == 2
    assert message in line
    assert not [path for path in tmp_path.iterdir() if "new.fa" in path.name]


def test_the_output_is_not_the_prompt(capsys, model, prompt):
    options = ["-m", model, "-n", 5, "--prompt", prompt, "-o", prompt, "--overwrite"]
    assert "is an input of this command" in run(capsys, "generate", *options).err
    assert read(prompt)[0][1] == "ACGTNNacgt"


def test_a_model_that_has_diverged_leaves_nothing(capsys, tmp_path):
    broken = toys.model()
    broken.backbone.norm.weight.data[0] = float("nan")
    save(broken, tmp_path / "broken")
    output = tmp_path / "new.fa"
    answer = run(capsys, "generate", "-m", tmp_path / "broken", "-n", 5, "-o", output)
    assert (answer.code, output.exists()) == (1, False)
    assert "the model's output is NaN" in answer.err


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 1), ("temperature", 2), ("top-k", 2), ("top-p", 0.5), ("number", 2),
     ("prompt", "other.fa"), ("template", "other.fa")],
)  # fmt: skip
def test_each_option_makes_another_request(capsys, model, prompt, tmp_path, key, value):
    toys.write_fasta(tmp_path / "other.fa", {"a": "ACGTACGTNN"})
    options = ["generate", "-m", model, "-n", 10, "-o", tmp_path / "new.fa", "--prompt", prompt]
    assert run(capsys, *options).code == 0
    value = tmp_path / value if value == "other.fa" else value
    answer = run(capsys, *options, f"--{key}", value)
    assert answer.code == 2
    assert f"another request ({key.replace('-', '_')} was" in answer.err


def test_prompts_may_be_reads_with_one_name_and_some_may_be_empty(capsys, model, tmp_path):
    (tmp_path / "p.fq").write_text("@a\nACGT\n+\nIIII\n@none\n\n+\n\n@a\nGG\n+\nII\n")
    output = tmp_path / "o.fa"
    answer = run(
        capsys, "generate", "-m", model, "-n", 9, "-o", output, "--prompt", tmp_path / "p.fq"
    )
    assert answer.code == 0
    assert [words[:2] for words, _ in read(output)] == [
        ["a_1", "prompt_length=4"], ["none_1", "prompt_length=0"], ["a_1", "prompt_length=2"],
    ]  # fmt: skip
