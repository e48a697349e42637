"""What was fetched from the hub before is read without a network, and nothing else is."""

import pytest
from huggingface_hub import constants

from megabase.errors import InputError
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.task_data import read_task_data
from megabase.evaluation.tasks.task_files import hub_folder

TASK = find_task("gue/mouse/2")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def fetched(cache):
    """Lay a repository out as the hub's library does when it has fetched one."""
    repository = cache / "datasets--leannmlindsey--GUE"
    snapshot = repository / "snapshots" / ("0" * 40)
    folder = snapshot / "GUE" / "mouse_2"
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for split in ("train", "dev", "test"):
        (folder / f"{split}.csv").write_text("sequence,label\nACGT,1\nCC,0\n")
    return snapshot


def test_a_folder_that_was_fetched_is_read(cache):
    snapshot = fetched(cache)
    assert hub_folder(TASK, offline=True) == snapshot
    data = read_task_data(TASK, offline=True)
    assert {split: rows.labels for split, rows in data.splits.items()} == {
        "train": [1, 0], "validation": [1, 0], "test": [1, 0],
    }  # fmt: skip


def test_data_that_were_not_downloaded_are_an_error_offline(cache):
    with pytest.raises(
        InputError, match=r"leannmlindsey/GUE could not be downloaded .*offline, and it is"
    ):
        hub_folder(TASK, offline=True)


def test_a_task_that_the_hub_lacks_is_an_error_that_suggests_a_folder(cache):
    with pytest.raises(InputError, match="not on the hub; pass the folder of its data"):
        hub_folder(find_task("splice_triples/worm"))
