"""Every layout of labelled rows gives the same rows, and a wrong one a line that says why."""

import gzip
from dataclasses import replace

import numpy as np
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.labelled_rows import read_deepsea, read_labelled
from megabase.evaluation.tasks.task import LabelGroup

TASK = find_task("genomic_benchmarks/human_enhancers_cohn")  # classes negative, positive
ROWS = [("ACGT", "0"), ("CC", "1"), ("GGA", "0")]


def write_table(path, separator, header=("sequence", "label"), rows=ROWS):
    text = "\n".join(separator.join(row) for row in [header, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def write_parquet(path):
    write_table(path.with_suffix(".txt"), ",")
    parquet.write_table(arrow_csv.read_csv(path.with_suffix(".txt")), path)


def write_fasta(path):
    path.write_text("".join(f">row{i}|{label}\n{s}\n" for i, (s, label) in enumerate(ROWS)))


def write_folders(path):
    for number, name in enumerate(TASK.classes):
        (path / name).mkdir(parents=True)
        for row, (letters, label) in enumerate(ROWS):
            if label == str(number):
                (path / name / f"{row}.txt").write_text(letters + "\n")


LAYOUTS = {
    "{}.csv": lambda path: write_table(path, ","),
    "{}.csv.gz": lambda path: write_table(path, ","),
    "{}.tsv": lambda path: write_table(path, "\t"),
    "{}-00000-of-00001.parquet": write_parquet,
    "human_{}.fasta": write_fasta,
    "{}": write_folders,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows(tmp_path, layout):
    for split in ("train", "test"):
        LAYOUTS[layout](tmp_path / layout.format(split))
    splits, names = read_labelled(TASK, tmp_path)
    assert names == ("negative", "positive")
    for split in ("train", "test"):
        rows = sorted(zip(splits[split].sequences, splits[split].labels, strict=True))
        assert rows == [("ACGT", 0), ("CC", 1), ("GGA", 0)]


def test_labels_are_read_by_name_where_there_are_names(tmp_path):
    rows = [("ACGT", "1", "negative"), ("CC", "0", "positive")]
    for split in ("train", "test"):
        write_table(tmp_path / f"{split}.tsv", "\t", ("sequence", "label", "class"), rows)
    splits, _ = read_labelled(TASK, tmp_path)
    assert splits["train"].labels == [0, 1]


def test_a_folder_of_classes_is_numbered_by_the_statement(tmp_path):
    """Not by the names' order, as a listing of the folder would be."""
    task = replace(TASK, classes=("positive", "negative"))
    for split in ("train", "test"):
        write_folders(tmp_path / split)
    splits, _ = read_labelled(task, tmp_path)
    assert dict(zip(*splits["test"], strict=True)) == {"ACGT": 1, "CC": 0, "GGA": 1}


def test_classes_that_are_not_stated_are_those_of_the_training_rows(tmp_path):
    task = replace(TASK, kind="multiclass", classes=())
    for split in ("train", "test"):
        write_table(tmp_path / f"{split}.csv", ",", rows=[("A", "snoRNA"), ("C", "miRNA")])
    splits, names = read_labelled(task, tmp_path)
    assert (names, splits["train"].labels) == (("miRNA", "snoRNA"), [1, 0])


def test_values_of_a_regression(tmp_path):
    task = replace(TASK, kind="regression", metric="r2", classes=())
    for split in ("train", "test"):
        write_table(tmp_path / f"{split}.csv", ",", ("sequence", "label"), [("ACGT", "-1.5e2")])
    assert read_labelled(task, tmp_path)[0]["test"].labels == [-150.0]
    write_table(tmp_path / "test.csv", ",", rows=[("ACGT", "nan")])
    with pytest.raises(InputError, match="test, row 1: expected a finite number, got 'nan'"):
        read_labelled(task, tmp_path)


@pytest.mark.parametrize(
    ("header", "rows", "problem"),
    [
        (("sequence", "label"), [("ACGT", "2")], r"row 1: label '2' is not one of negative \(0\)"),
        (("sequence", "label"), [("", "1")], "row 1: the sequence is empty"),
        (("sequence", "y"), ROWS, "has no column class or label; it has sequence, y"),
        (("seq", "label"), ROWS, "has no column sequence; it has seq, label"),
    ],
)
def test_an_invalid_table_is_an_error_of_one_line(tmp_path, header, rows, problem):
    for split in ("train", "test"):
        write_table(tmp_path / f"{split}.csv", ",", header, rows)
    with pytest.raises(InputError, match=problem) as raised:
        read_labelled(TASK, tmp_path)
    assert "\n" not in str(raised.value)


def test_a_missing_class_folder_is_an_error(tmp_path):
    for split in ("train", "test"):
        write_folders(tmp_path / split)
    (tmp_path / "train/positive").rename(tmp_path / "train/other")
    with pytest.raises(InputError, match=r"each class, negative, positive; it has negative, other"):
        read_labelled(TASK, tmp_path)


def test_a_row_of_a_class_folder_that_is_not_text_is_an_error(tmp_path):
    for split in ("train", "test"):
        write_folders(tmp_path / split)
    (tmp_path / "test" / "negative" / "9.txt").write_bytes(b"AC\xffGT\n")
    with pytest.raises(ValueError, match=r"9.txt, line 1: byte 0xff is not UTF-8"):
        read_labelled(TASK, tmp_path)


def test_a_header_without_label_is_an_error(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.fna").write_text(">row1\nACGT\n")
    with pytest.raises(InputError, match=r"a header must end in \|label, got 'row1'"):
        read_labelled(TASK, tmp_path)


def test_a_missing_split_is_an_error_unless_another_may_replace_it(tmp_path, caplog):
    write_table(tmp_path / "dev.csv", ",")
    with pytest.raises(
        InputError, match=r"no train and no test rows.*\(it has validation\): looked for"
    ):
        read_labelled(TASK, tmp_path, stand_in=True)
    write_table(tmp_path / "test.csv", ",", rows=ROWS[:1])
    with pytest.raises(
        InputError, match=r"no train rows .* in place of train with --substitute-split"
    ):
        read_labelled(TASK, tmp_path)
    splits, _ = read_labelled(TASK, tmp_path, stand_in=True)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 3, "test": 1}
    assert "train rows are missing: validation rows are used" in caplog.text


DEEPSEA = replace(
    find_task("chromatin_profile/8k"), length=4, label_groups=(LabelGroup("TF", 0, 3),)
)


def test_chromatin_rows_are_cut_to_their_centre(tmp_path):
    (tmp_path / "test.dataset.csv").write_text("AACGTT,0,1,1\nAGGGGA,1,0,0\n")
    splits, names = read_deepsea(DEEPSEA, tmp_path)
    assert (list(splits), names) == (["test"], ())
    assert splits["test"].sequences == ["ACGT", "GGGG"]
    np.testing.assert_array_equal(np.stack(splits["test"].labels), [[0, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("AACGTT,0,1", "line 1: expected letters and 3 labels of 0 or 1, got 2 labels"),
        ("AACGTT,0,1,x", "line 1: expected letters and 3 labels"),
        ("AAC,0,1,0", "line 1: expected 4 letters or more, got 3"),
    ],
)
def test_an_invalid_chromatin_row_is_an_error(tmp_path, line, problem):
    (tmp_path / "train.csv").write_text(line + "\n")
    with pytest.raises(InputError, match=problem):
        read_deepsea(DEEPSEA, tmp_path)
