"""The script measures baselines of a folder and reports leaks between its splits."""

import gzip
import json

import numpy as np
import pytest
from scripts import kmer_baselines
from scripts.kmer_baselines import hold_out, main, read_part
from typer import BadParameter

pytest.importorskip("sklearn")


def write(folder, name, n, seed, extra=()):
    """Write a table of two classes that differ in GC."""
    rng = np.random.default_rng(seed)
    rows = list(extra)
    for label in np.arange(n) % 2:
        p = np.array([3, 2, 2, 3]) / 10 if label else np.array([2, 3, 3, 2]) / 10
        rows.append(("".join(rng.choice(list("ACGT"), size=60, p=p)), label))
    with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
        file.write("sequence,label\n" + "".join(f"{s},{label}\n" for s, label in rows))
    return rows


def test_a_folder_is_measured_and_its_leak_reported(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kmer_baselines, "fit_kmers", _small(kmer_baselines.fit_kmers))
    rows = write(tmp_path, "train", 200, 0)
    write(tmp_path, "test", 60, 1, extra=rows[:3])
    main([tmp_path], tmp_path / "found.json")
    assert "exact repeats of training rows: 3 (4.76%)" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())[str(tmp_path)]
    accuracy = {row["model"]: row["value"] for row in found["results"] if row["metric"] == "auroc"}
    assert accuracy["majority"] == 0.5
    assert accuracy["k-mers"] > 0.7
    assert found["leaks"]["exact"]["n"] == 3


def _small(fit):
    return lambda *arguments, **options: fit(*arguments, **options, ks=(1, 2))


def test_both_strands_of_a_sequence_are_held_out_together(tmp_path):
    rows = write(tmp_path, "one", 100, 0)
    other = [(s[::-1].translate(str.maketrans("ACGT", "TGCA")), label) for s, label in rows]  # pyright: ignore[reportGeneralTypeIssues]
    write(tmp_path, "both", 0, 0, extra=[*rows, *other])
    kept, held = hold_out(read_part(tmp_path / "both.csv.gz"))
    assert len(kept.labels) + len(held.labels) == 200
    _, of_one = hold_out(read_part(tmp_path / "one.csv.gz"))
    assert len(held.labels) == 2 * len(of_one.labels) > 0


def test_a_folder_without_a_test_split_is_an_error(tmp_path):
    write(tmp_path, "train", 4, 0)
    with pytest.raises(BadParameter, match="needs train and test"):
        main([tmp_path])
