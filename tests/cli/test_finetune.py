"""finetune and predict as a shell runs them: labels as they stood, and one line for bad input."""

import json

import pytest
import torch

from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.load import save
from tests import toys
from tests.cli.command import run
from tests.cli.test_bad_input import refused
from tests.labelled_tables import motif_rows, read_rows, write_rows

NAMES = {"0": "no promoter", "1": "TATA, promoter"}
FEW = ["--seeds", 1, "--epochs", 1, "--device", "cpu", "--quiet"]


def named(rows):
    return [row | {"label": NAMES[row["label"]]} for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetune")
    save(toys.model(), folder / "language")
    write_rows(folder / "train.csv", named(motif_rows(40)))
    write_rows(folder / "test.csv", named(motif_rows(20, seed=1)))
    return folder


def tuned(capsys, folder, output, *options):
    train = [] if "--train" in options else ["--train", folder / "train.csv"]
    size = [] if {"--model", "--preset"} & set(options) else ["--model", folder / "language"]
    return run(capsys, "finetune", *train, *size, "--output", output, *FEW, *options)


def test_finetune_then_predict(capsys, folder, tmp_path):
    model, output = tmp_path / "model", tmp_path / "p.csv"
    answer = tuned(capsys, folder, model, "--test", folder / "test.csv")
    assert (answer.code, answer.out.strip()) == (0, str(model)), answer.err
    fixed = ["--model", model, "--input", folder / "test.csv"]
    assert run(capsys, "predict", *fixed, "--output", output).code == 0
    assert output.read_bytes() == (model / "predictions.csv").read_bytes()
    rows = read_rows(output)
    columns = [f"p_{name}" for name in sorted(NAMES.values())]
    assert list(rows[0]) == ["id", "sequence", "label", "predicted", *columns]
    for row in rows:
        assert sum(float(row[column]) for column in columns) == pytest.approx(1)
        assert row["predicted"] == max(NAMES.values(), key=lambda name: float(row[f"p_{name}"]))
    record = json.loads((model / "metrics.json").read_text())
    assert record["classes"] == sorted(NAMES.values())
    assert {"train", "test", "model"} == set(record["sha256"])


@pytest.mark.parametrize(
    "options", [["--adapt", "lora", "--set", "lora_rank=2"], ["--adapt", "prompt"]]
)
def test_adapters_and_prompts_predict_what_they_were_measured_with(
    capsys, folder, tmp_path, options
):
    if "lora" in options:
        pytest.importorskip("peft")
    model, output = tmp_path / "model", tmp_path / "p.csv"
    assert tuned(capsys, folder, model, "--test", folder / "test.csv", *options).code == 0
    fixed = ["--model", model, "--input", folder / "test.csv"]
    assert run(capsys, "predict", *fixed, "--output", output).code == 0
    assert output.read_bytes() == (model / "predictions.csv").read_bytes()
    assert refused(run(capsys, "info", "--model", model), "is a fine-tuned model")


def test_predict_to_tsv_over_both_strands_cut_and_refused(capsys, folder, tmp_path):
    model, output = tmp_path / "model", tmp_path / "p.csv"
    assert tuned(capsys, folder, model).code == 0
    fixed = ["--model", model, "--input", folder / "test.csv"]
    assert run(capsys, "predict", *fixed, "--output", output).code == 0
    rows = read_rows(output)
    table = tmp_path / "p.tsv"
    assert run(capsys, "predict", *fixed, "--output", table, "--strand", "average").code == 0
    averaged = read_rows(table, delimiter="\t")
    assert [row["id"] for row in averaged] == [row["id"] for row in rows]
    assert averaged[0]["p_no promoter"] != rows[0]["p_no promoter"]
    again = run(
        capsys, "predict", "--model", model, "--input", output, "--output", tmp_path / "q.csv"
    )
    assert refused(again, "already has a column 'predicted'")
    long = write_rows(tmp_path / "long.csv", [{"sequence": toys.letters(99)}])
    fixed = ["predict", "--model", model, "--input", long, "--output", tmp_path / "l.csv"]
    assert refused(run(capsys, *fixed), "row 1 has 99 bp, and the model reads at most 64")
    assert run(capsys, *fixed, "--crop", "centre").code == 0
    assert read_rows(tmp_path / "l.csv")[0]["sequence"] == toys.letters(99)
    assert refused(
        run(capsys, *fixed[:-1], tmp_path / "l.csv.gz", "--crop", "left"), "written uncompressed"
    )
    assert refused(
        run(capsys, *fixed[:-1], tmp_path / "l.xls"), "does not have the suffix of a table"
    )
    fasta = toys.write_fasta(tmp_path / "s.fa", {"a": "ACGT"})
    fixed = ["--model", model, "--input", fasta, "--output", tmp_path / "s.tsv"]
    assert refused(run(capsys, "score", *fixed), "is a fine-tuned model")


def test_intervals_of_a_genome(capsys, folder, tmp_path):
    toys.write_fasta(tmp_path / "g.fa", {"chr1": toys.letters(3000)})
    rows = [
        {
            "contig": "chr1",
            "start": 40 * n,
            "end": 40 * n + 30,
            "strand": "+-"[n % 2],
            "label": n % 3,
        }
        for n in range(30)
    ]
    train = write_rows(tmp_path / "t.tsv", rows, delimiter="\t")
    options = ["--train", train, "--genome", tmp_path / "g.fa", "--preset", "tiny"]
    assert tuned(capsys, folder, tmp_path / "m", *options).code == 0
    fixed = ["--model", tmp_path / "m", "--input", train, "--output", tmp_path / "p.csv"]
    assert run(capsys, "predict", *fixed, "--genome", tmp_path / "g.fa").code == 0
    assert [row["start"] for row in read_rows(tmp_path / "p.csv")] == [
        str(r["start"]) for r in rows
    ]


def test_a_folder_of_classes_and_fasta(capsys, folder, tmp_path):
    rows = motif_rows(40)
    for label in "01":
        toys.write_fasta(
            tmp_path / f"0.{label}5.fa",
            {row["id"]: row["sequence"] for row in rows if row["label"] == label},
        )
    model, output = tmp_path / "model", tmp_path / "p.tsv"
    classes = tmp_path / "classes"
    classes.mkdir()
    for path in tmp_path.glob("*.fa"):
        path.rename(classes / path.name)
    assert tuned(capsys, folder, model, "--train", classes, "--test", classes).code == 0
    record = json.loads((model / "metrics.json").read_text())
    assert record["classes"] == ["0.05", "0.15"]  # no numbers to be predicted
    assert set(record["sha256"]) == {
        "model", *(f"{part}/0.{n}5.fa" for part in ("train", "test") for n in "01")
    }  # fmt: skip
    fixed = ["predict", "--model", model, "--output", output, "--input"]
    assert run(capsys, *fixed, classes / "0.15.fa").code == 0
    answers = read_rows(output, delimiter="\t")
    assert [row["name"] for row in answers] == [f"r{n}" for n in range(1, 40, 2)]
    of_test = read_rows(model / "predictions.csv")[20:]
    assert [row["predicted"] for row in answers] == [row["predicted"] for row in of_test]
    assert refused(run(capsys, *fixed, classes), "is a folder; predict reads one")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "x"}, "row 3: label 'x' does not occur in training"),
        ({"sequence": "ACXGT"}, "'X' at position 2 (counted from 0) of"),
        ({"sequence": "ACGT" * 20}, "row 3 has 80 bp, and the model reads at most 64"),
        ({"sequence": ""}, "row 3: the sequence is empty"),
    ],
)
@pytest.mark.parametrize("which", ["--validation", "--test"])
def test_a_bad_row(capsys, folder, tmp_path, which, change, message):
    rows = named(motif_rows(6))
    rows[2] |= change
    bad = write_rows(tmp_path / "bad.csv", rows)
    answer = tuned(capsys, folder, tmp_path / "m", which, bad)
    assert refused(answer, message)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("sequence,label\n", "has no rows"),
        ("sequence,class\nACGT,1\n", "has no column 'label'; it has sequence, class"),
        ("sequence,label\nACGT,1\nACGA,1\n", "a classifier needs at least two classes"),
        ("sequence,label\nACGT,1.5\nACGA,nan\n", "row 2: the target is 'nan'"),
        ("sequence,label\nACGT,1\nACGT,0\n", "too few to hold out a validation"),
    ],
)
def test_a_bad_training_table(capsys, folder, tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    answer = tuned(capsys, folder, tmp_path / "m", "--train", tmp_path / "bad.csv")
    assert refused(answer, message)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "select=speed"], "select must be one of loss, accuracy, mcc"),
        (["--set", "stepz=3"], "unknown configuration key 'stepz'"),
        (["--adapt", "tail"], "adapt"),
        (["--test", "none.csv"], "there is no file none.csv"),
        (["--set", "memory_gib=0.01"], "training on"),
        (["--model", "nowhere/at/all"], "no model folder"),
    ],
)
def test_an_invalid_request_is_an_error(capsys, folder, tmp_path, options, message):
    answer = tuned(capsys, folder, tmp_path / "m", *options)
    assert refused(answer, message)
    assert not (tmp_path / "m").exists()


def test_a_language_model_does_not_predict(capsys, folder, tmp_path):
    fixed = ["--model", folder / "language", "--input", folder / "test.csv"]
    answer = run(capsys, "predict", *fixed, "--output", tmp_path / "p.csv")
    assert refused(answer, "is a language model without a head")


def test_an_output_is_required_and_must_differ_from_the_inputs(capsys, folder):
    assert refused(run(capsys, "finetune", "--train", folder / "train.csv"), "--output DIR")
    answer = tuned(capsys, folder, folder / "language")
    assert refused(answer, "is the model to start from")
    fixed = ["--model", folder / "language", "--input", folder / "test.csv"]
    answer = run(capsys, "predict", *fixed, "--output", folder / "test.csv")
    assert refused(answer, "is an input of this command")


def test_the_configuration_is_printed(capsys, folder):
    answer = run(capsys, "finetune", "--train", "t.csv", "--print-config", "--set", "patience=7")
    assert "patience: 7" in answer.out


def test_a_sweep_is_declared_by_keys_and_values(capsys, folder, tmp_path):
    fixed = ["finetune", "--train", "t.csv", "--print-config"]
    answer = run(capsys, *fixed, "--sweep", "learning_rate=3e-4,1e-3", "--sweep", "batch_size=8")
    assert "sweep:\n  learning_rate:\n  - 0.0003\n  - 0.001\n  batch_size:\n  - 8\n" in answer.out
    assert refused(run(capsys, *fixed, "--sweep", "batch_size"), "--sweep takes KEY=A,B")
    options = ["--sweep", "batch_size=8,many"]
    answer = tuned(capsys, folder, tmp_path / "m", *options)
    assert refused(answer, "configuration key 'batch_size'")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    save(HyenaDNAForSequenceClassification(toys.config()).eval(), folder)
    return folder


def test_a_cell_that_a_tsv_cannot_hold_is_refused_before_any_row_is_predicted(
    capsys, classifier, tmp_path, monkeypatch
):
    table, fasta = tmp_path / "note.csv", tmp_path / "tabs.fa"
    table.write_text('sequence,note\nACGT,a\nACGT,"two\nlines"\n')
    fasta.write_text(">a\tb\nACGT\n")
    fixed = ["predict", "--quiet", "--model", classifier]
    with monkeypatch.context() as patch:
        patch.setattr("megabase.pipelines.predict.predictions", None)
        for source, message in (
            (
                table,
                "row 2, column 'note': the cell has a line break, which a table separated by tabs",
            ),
            (fasta, "row 1, column 'name': the cell has a tab"),
        ):
            answer = run(capsys, *fixed, "--input", source, "--output", tmp_path / "p.tsv")
            assert refused(answer, message)
            assert "a file that ends in .csv" in answer.err
    assert {path.name for path in tmp_path.iterdir()} == {"note.csv", "tabs.fa"}
    for source in (table, fasta):
        answer = run(
            capsys, *fixed, "--input", source, "--output", tmp_path / f"{source.stem}.out.csv"
        )
        assert answer.code == 0
    assert read_rows(tmp_path / "note.out.csv")[1]["note"] == "two\nlines"
    assert read_rows(tmp_path / "tabs.out.csv")[0]["name"] == "a\tb"


def test_predict_reads_another_column_and_delimiter(capsys, classifier, tmp_path):
    source = tmp_path / "s.txt"
    source.write_text("id;dna\nx;ACGT\ny;GGCC\n")
    fixed = ["predict", "--quiet", "--model", classifier, "--input", source]
    assert refused(run(capsys, *fixed, "--output", tmp_path / "p.csv"), "no column 'sequence'")
    for number, delimiter in enumerate(([], ["--delimiter", "semicolon"])):
        output = tmp_path / f"{number}.csv"
        answer = run(capsys, *fixed, "--sequence-column", "dna", *delimiter, "--output", output)
        assert answer.code == 0, answer.err
        assert [row["dna"] for row in read_rows(output)] == ["ACGT", "GGCC"]
    answer = run(
        capsys,
        *fixed,
        "--sequence-column",
        "dna",
        "--delimiter",
        ",",
        "--output",
        tmp_path / "q.csv",
    )
    assert refused(answer, "has no column 'dna'; it has id;dna")
