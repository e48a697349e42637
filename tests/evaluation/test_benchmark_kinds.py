"""Each kind of task goes through from one call: values, labels of bases, many labels."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from megabase.evaluation import benchmark
from megabase.evaluation.benchmark import TEXT, evaluate_tasks
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.task import LabelGroup
from megabase.evaluation.tasks.task_data import Choice, read_task_data
from megabase.training.run_config import AdaptConfig
from tests.evaluation.tasks.test_base_labels import write_places
from tests.toys import letters, write_fasta

SETTINGS = AdaptConfig(n_seeds=1, epochs=1, device="cpu", batch_size=16)
ALL = {"majority", "k-mers", "CNN", "megabase, from scratch"}


def evaluated(name, folder, **choice):
    """Give the report of a task, and its main metric of each system."""
    evaluate_tasks([name], folder / "out", choice=Choice(folder, **choice), settings=SETTINGS)
    (report,) = json.loads((folder / "out" / "results.json").read_text())["tasks"]
    values = {r["model"]: r["value"] for r in report["results"] if r["metric"] == report["metric"]}
    return report, values


def test_values_of_genes(tmp_path):
    folder = tmp_path / "splice_eie"
    folder.mkdir()
    lines = [
        f"{letters(20, seed=n)} {letters(30, seed=n + 500)} {letters(20, seed=n + 900)} {n} g{n}"
        for n in range(1, 61)
    ]
    (folder / "eie.dm.txt").write_text("\n".join(lines) + "\n")
    report, values = evaluated("splice_triples/fly", tmp_path)
    assert report["metric"] == "spearman"
    assert values.keys() == ALL
    assert values["majority"] is None  # what does not vary has no correlation
    assert report["n_rows_used"] == {"training": 48, "validation": 6, "test": 6}


def test_classes_of_bases(tmp_path):
    write_fasta(tmp_path / "chr20_grch37.fa", {"20": letters(2000)})
    (tmp_path / "annotation_grch37").mkdir()
    write_places(tmp_path, "exons", [(n, n + 30) for n in range(1, 1960, 50)])
    write_places(tmp_path, "CDSs", [(n, n + 9) for n in range(5, 1960, 50)])
    report, values = evaluated("gene_structure/chr20", tmp_path, length=50)
    assert values.keys() == ALL
    assert report["n_rows_used"] == {"training": 32, "validation": 4, "test": 4}
    shares = [list(report["data"]["rows_by_class"]["test"].values())[k] / 200 for k in range(3)]
    accuracy = {r["model"]: r["value"] for r in report["results"] if r["metric"] == "accuracy"}
    assert accuracy["majority"] == pytest.approx(max(shares))
    assert {r["n_test"] for r in report["results"]} == {4}


def test_many_labels_and_a_stand_in(tmp_path, monkeypatch):
    groups = LabelGroup("TF", 0, 3), LabelGroup("DHS", 3, 5)
    few = replace(find_task("chromatin_profile/1k"), label_groups=groups)
    monkeypatch.setattr(benchmark, "find_tasks", lambda _: (few,))
    folder = tmp_path / "deepsea"
    folder.mkdir()
    rng = np.random.default_rng(0)
    with gzip.open(folder / "test.csv.gz", "wt") as file:
        for row in range(30):
            cells = [letters(1200, seed=row), *map(str, rng.integers(0, 2, 5))]
            file.write(",".join(cells) + "\n")
    parted = read_task_data(few, tmp_path, stand_in=True).splits
    in_order = [row for split in parted.values() for row in split.sequences]
    assert in_order == [letters(1200, seed=row)[100:1100] for row in range(30)]
    report, values = evaluated("chromatin_profile/1k", tmp_path, stand_in=True)
    assert values.keys() == ALL
    assert report["n_rows_used"] == {"training": 24, "validation": 3, "test": 3}
    metrics = {r["metric"] for r in report["results"] if r["model"] == "CNN"}
    assert {"auroc_median", "auroc_median_TF", "auroc_median_DHS"} < metrics
    assert "6 published numbers are left out" in (tmp_path / "out" / TEXT).read_text()
