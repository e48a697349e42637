"""Small tables of labelled sequences."""

import csv

import numpy as np

MOTIF = "TATAAA"


def motif_rows(n, seed=0, motif=MOTIF):
    """Return rows of 20 to 26 random bases; every other has the motif and label 1, else 0."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        letters = list(rng.choice(list("CG"), size=rng.integers(20, 27)))
        if number % 2:
            start = rng.integers(0, len(letters) - len(motif))
            letters[start : start + len(motif)] = motif
        rows.append({"id": f"r{number}", "sequence": "".join(letters), "label": str(number % 2)})
    return rows


def write_rows(path, rows, delimiter=","):
    """Write rows as a table, with the columns of the first row; return the path."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_task(data, n_train, n_test):
    """Write rows of genomic_benchmarks/human_enhancers_cohn below `data`; return `data`."""
    folder = data / "human_enhancers_cohn"
    folder.mkdir()
    write_rows(folder / "train.csv", motif_rows(n_train))
    write_rows(folder / "test.csv", motif_rows(n_test, seed=1))
    return data


def read_rows(path, delimiter=","):
    """Read the rows of a table, with all cells as text."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))
