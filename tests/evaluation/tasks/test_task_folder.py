"""The files of a split are known by words in their names."""

import pytest

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.task_files import check_splits, split_paths, task_files, task_folder


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"),
        ("dev.csv.gz", "validation"),
        ("H3_test.fasta", "test"),
        ("test.dataset.csv.gz", "test"),
        ("validation-00000-of-00001.parquet", "validation"),
    ],
)
def test_a_name_determines_its_split(tmp_path, name, split):
    touch(tmp_path, name, "README.md", "train_test.csv", "training.csv", "train.json")
    assert {split: [tmp_path / name]} == split_paths(tmp_path)


def test_parts_are_one_and_two_files_are_an_error(tmp_path):
    parts = [f"train-0000{i}-of-00002.parquet" for i in range(2)]
    folder = touch(tmp_path, *parts)
    assert [path.name for path in split_paths(folder)["train"]] == parts
    touch(folder, "train.csv")
    with pytest.raises(InputError, match=r"several files for train: train-00000"):
        split_paths(folder)


def test_a_folder_without_rows_is_an_error_with_the_paths_tried_and_the_folder_that_has_them(
    tmp_path,
):
    task = find_task("gue/EMP/H3")
    folder = touch(tmp_path / "data", "dev.txt")
    tried = f"in {folder}, .*{folder / 'EMP/H3'}"
    with pytest.raises(InputError, match=f"no train and no test rows of .*{tried}[^;]*$"):
        check_splits(task, split_paths(folder), folder)
    touch(folder / "deeper", "train.csv", "test.csv")
    with pytest.raises(InputError, match=f"; did you mean --data {folder / 'deeper'}\\?"):
        check_splits(task, split_paths(folder), folder)


def test_the_folder_is_found_inside_or_is_the_one_given(tmp_path):
    task = find_task("gue/EMP/H3")
    assert task_folder(task, tmp_path) == tmp_path
    touch(tmp_path / "EMP" / "H3")
    assert task_folder(task, tmp_path) == tmp_path / "EMP/H3"
    with pytest.raises(InputError, match="is not a folder"):
        task_folder(task, tmp_path / "none")


def test_a_file_of_a_role_is_one(tmp_path):
    task = find_task("splice_triples/fly")
    with pytest.raises(InputError, match=r"needs exactly one file eie.dm.txt\* in .* found none"):
        task_files(task, tmp_path)
    touch(tmp_path, "eie.dm.txt.gz", "eie.at.txt.gz")
    assert task_files(task, tmp_path) == {"triples": tmp_path / "eie.dm.txt.gz"}
    touch(tmp_path, "eie.dm.txt")
    with pytest.raises(InputError, match=r"found eie.dm.txt, eie.dm.txt.gz"):
        task_files(task, tmp_path)
