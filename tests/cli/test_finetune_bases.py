"""finetune --labels and predict as a shell runs them: regions and labels in, a line a base out."""

import pytest

from megabase.io import value_tracks as tracks
from megabase.model.load import save
from tests import toys
from tests.cli.command import run
from tests.cli.test_bad_input import refused
from tests.labelled_tables import read_rows, write_rows

LETTERS = toys.letters(900)
FEW = ["--seeds", 1, "--epochs", 1, "--device", "cpu", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    save(toys.model(), folder / "language")
    toys.write_fasta(folder / "g.fa", {"chr1": LETTERS})
    places = [(at, at + 30, "+-"[at // 30 % 2]) for at in range(0, 900, 30)]
    lines = [f"chr1\t{start}\t{end}\tr{start}\t0\t{strand}\n" for start, end, strand in places]
    (folder / "train.bed").write_text("".join(lines[:24]))
    (folder / "test.bed").write_text("".join(lines[24:]))
    (folder / "exons.bed").write_text(
        "".join(f"chr1\t{at}\t{at + 7}\n" for at in range(0, 890, 19))
    )
    return folder


def tuned(capsys, folder, output, *options):
    fixed = {"--train": folder / "train.bed", "--labels": folder / "exons.bed",
             "--genome": folder / "g.fa", "--model": folder / "language"}  # fmt: skip
    given = [each for key, value in fixed.items() if key not in options for each in (key, value)]
    return run(capsys, "finetune", *given, "--output", output, *FEW, *options)


def test_finetune_then_predict(capsys, folder, tmp_path):
    model, output = tmp_path / "model", tmp_path / "p.csv"
    answer = tuned(capsys, folder, model, "--test", folder / "test.bed")
    assert (answer.code, answer.out.strip()) == (0, str(model)), answer.err
    fixed = ["predict", "--model", model, "--input", folder / "test.bed", "--output"]
    assert run(capsys, *fixed, output, "--genome", folder / "g.fa").code == 0
    assert output.read_bytes() == (model / "predictions.csv").read_bytes()
    rows = read_rows(output)
    columns = ["contig", "start", "end", "name", "strand", "row", "position", "base"]
    assert list(rows[0]) == [*columns, "predicted", "p_none", "p_in"]
    assert len(rows) == 180
    both = tmp_path / "both.tsv"
    options = ["--genome", folder / "g.fa", "--strand", "average"]
    assert run(capsys, *fixed, both, *options).code == 0
    averaged = read_rows(both, delimiter="\t")
    assert [row["base"] for row in averaged] == [row["base"] for row in rows]
    assert averaged[0]["p_in"] != rows[0]["p_in"]
    assert refused(run(capsys, *fixed, tmp_path / "n.csv"), "need their genome; give --genome")
    table = write_rows(tmp_path / "s.csv", [{"id": "x", "sequence": "ACGT"}])
    fixed = ["predict", "--model", model, "--input", table, "--output"]
    assert run(capsys, *fixed, tmp_path / "s.tsv").code == 0
    rows = read_rows(tmp_path / "s.tsv", delimiter="\t")
    assert [list(row.values())[:3] for row in rows] == [["x", "1", str(at)] for at in range(4)]
    table = write_rows(tmp_path / "t.csv", [{"position": "5", "sequence": "ACGT"}])
    fixed = ["predict", "--model", model, "--input", table, "--output", tmp_path / "t.tsv"]
    assert refused(run(capsys, *fixed), "already has a column 'position'")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.bed", "chr1\t0\t9\ta\nchr1\t5\t7\tb\n", "entries of 'a' and 'b' overlap on chr1"),
        ("l.bed", "chr2\t0\t9\ta\n", "contig 'chr2' is not in"),
        ("l.bed", "chr1\t0\t901\ta\n", "ends beyond its contig"),
        ("l.bed", "chr1\t0\t900\ta\n", "fewer than two classes: ['a']"),
        ("l.gff", "chr1\t0\t900\ta\n", "expected labels of bases as BED"),
        ("l.bg", "chr1\t0\t900\tx\n", "and a finite number"),
    ],
)
def test_labels_that_cannot_be_used(capsys, folder, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    answer = tuned(capsys, folder, tmp_path / "m", "--labels", tmp_path / name)
    assert refused(answer, message)
    assert not (tmp_path / "m").exists()


def test_a_missing_extra_for_bigwig_is_reported_before_missing_files(
    capsys, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(tracks, "find_spec", lambda _: None)
    answer = tuned(capsys, folder, tmp_path / "m", "--labels", "none.bw", "--train", "none.csv")
    assert refused(answer, "megabase[bigwig]")
    answer = tuned(capsys, folder, tmp_path / "m", "--labels", tmp_path / "none.bed")
    assert refused(answer, "there is no file")
