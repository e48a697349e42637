"""Measure the majority and k-mer baselines of labelled tables, and leaks between their splits.

python scripts/kmer_baselines.py FOLDER... [--output results.json]

A folder has `train` and `test`, and optionally `dev`, as .csv.gz or .tsv.gz with the columns
`sequence` and `label` (0, 1, ...). Without `dev`, settings are chosen on a tenth of the training
rows; identical and reverse-complement sequences stay together. Nothing is chosen on test rows.
"""

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from zlib import crc32

import numpy as np
import typer

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.derived_files import file_sha256
from megabase.metrics.kmers import Sequences, constant_predictions, fit_kmers, reverse_complement
from megabase.metrics.leaks import find_leaks
from megabase.metrics.results import Result
from megabase.metrics.task_metrics import Kind, Predictions, intervals_of, metrics_of

ENDINGS = {".csv.gz": ",", ".tsv.gz": "\t"}


def find_part(folder: Path, name: str) -> Path | None:
    """Return the path of the table of a split, or None if it does not exist."""
    found = [folder / f"{name}{ending}" for ending in ENDINGS]
    return next((path for path in found if path.exists()), None)


def read_part(path: Path) -> Sequences:
    """Read the sequences and labels of a table."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=ENDINGS["".join(path.suffixes[-2:])]))
    tokens = [DNA_VOCABULARY.encode(row["sequence"], name=path.name).tokens for row in rows]
    labels = np.array([int(row["label"]) for row in rows])
    return Sequences([DNA_VOCABULARY.to_bases(each) for each in tokens], labels)


def hold_out(rows: Sequences) -> tuple[Sequences, Sequences]:
    """Split rows into about nine tenths and a tenth, by a hash that both strands share."""
    keys = [min(each.tobytes(), reverse_complement(each).tobytes()) for each in rows.sequences]
    is_held = np.array([crc32(key) % 10 == 0 for key in keys])
    return _chosen(rows, ~is_held), _chosen(rows, is_held)


def _chosen(rows: Sequences, which: np.ndarray) -> Sequences:
    chosen = np.flatnonzero(which).tolist()
    return Sequences([rows.sequences[row] for row in chosen], rows.labels[chosen])


def measure(folder: Path) -> dict[str, Any]:
    """Measure the baselines on the test split of a folder, and its leaks from training."""
    paths = {name: find_part(folder, name) for name in ("train", "dev", "test")}
    if paths["train"] is None or paths["test"] is None:
        raise typer.BadParameter(f"{folder} needs train and test, each as .csv.gz or .tsv.gz")
    everything, test = read_part(paths["train"]), read_part(paths["test"])
    train, validation = (
        hold_out(everything) if paths["dev"] is None else (everything, read_part(paths["dev"]))
    )
    n_classes = int(max(everything.labels.max(), test.labels.max())) + 1
    kind: Kind = "binary" if n_classes == 2 else "multiclass"
    model = fit_kmers(kind, train, validation, n_classes=n_classes)
    chosen = {"k": model.k, **model.probe.setting, "is_converged": model.probe.is_converged}
    data_hash = ",".join(file_sha256(path) for path in paths.values() if path is not None)
    constant = constant_predictions(kind, train.labels, len(test.labels), n_classes=n_classes)
    name = "/".join(folder.parts[-2:])

    def results(model_name: str, predictions: Predictions, settings: dict[str, Any]) -> list[Any]:
        values = metrics_of(kind, test.labels, predictions)
        intervals = intervals_of(kind, test.labels, predictions, seed=0)
        return [
            Result(
                task=name, model=model_name, metric=metric, value=value,
                interval=intervals[metric], seed=None, n_test=len(test.labels),
                data_hash=data_hash, is_published_split=False, settings=settings,
            ).to_row()
            for metric, value in values.items()
        ]  # fmt: skip

    return {
        "results": [
            *results("majority", constant, {}),
            *results("k-mers", model.predict(test.sequences), chosen),
        ],
        "leaks": find_leaks(kind, everything, test, n_classes=n_classes),
    }


def show(found: Sequence[dict[str, Any]]) -> None:
    """Print results, one figure per line."""
    for row in found:
        interval = "" if row["interval"] is None else " [{:.4f}, {:.4f}]".format(*row["interval"])
        value = "undefined" if row["value"] is None else f"{row['value']:.4f}"
        print(f"{row['model']}: {row['metric']} {value}{interval} {row['settings']}")


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders with train, dev and test.")],
    output: Annotated[Path | None, typer.Option(help="JSON file for all figures.")] = None,
) -> None:
    """Measure every folder and print the results."""
    everything: dict[str, Any] = {}
    for folder in folders:
        found = measure(folder)
        print(f"\n{folder}\n{found['leaks']}")
        show(found["results"])
        everything[str(folder)] = {**found, "leaks": found["leaks"].to_dict()}
    if output is not None:
        output.write_text(
            json.dumps(everything, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    typer.run(main)
