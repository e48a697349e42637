"""The examples of a Task: where they came from, and whether they are the published ones."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from megabase.errors import InputError
from megabase.evaluation.ape_windows import read_aligned
from megabase.evaluation.base_labels import read_annotation
from megabase.evaluation.examples import Examples, digest
from megabase.evaluation.gene_biotypes import read_genes
from megabase.evaluation.hub_files import hub_folder
from megabase.evaluation.labelled_rows import read_deepsea, read_labelled
from megabase.evaluation.species_windows import read_genomes
from megabase.evaluation.splice_triples import read_triples
from megabase.evaluation.task_folder import task_folder
from megabase.evaluation.tasks.task import SPLITS, Task
from megabase.measure.published import Published

_log = logging.getLogger(__name__)

_CUT = ("deepsea", "alignment", "genomes", "annotation")  # layouts with a choice of length


@dataclass(frozen=True)
class TaskData:
    """The rows of a task as they were read.

    Parameters
    ----------
    task
        The statement, with the length that was read.
    place
        The folder.
    class_names
        In the order of their numbers.
    splits
        Examples of ``train``, ``validation`` and ``test``, as far as they are there.
    sha256
        Of each split: `examples.digest`.
    differences
        In what they differ from the published rows and split, a line each.
    """

    task: Task
    place: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Examples]
    sha256: Mapping[str, str]
    differences: tuple[str, ...]

    @property
    def is_published_rows(self) -> bool:
        """Whether rows and split are the published ones, as far as that can be known.

        By digest where the task has one, else by the number of rows of each split.
        """
        return not self.differences

    def published(self) -> tuple[Published, ...]:
        """Give the numbers that may stand beside a result: none unless the rows are those."""
        return self.task.published if self.is_published_rows else ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, without the rows."""
        return {
            "task": self.task.name,
            "place": self.place,
            "class_names": list(self.class_names),
            "n_rows": {split: len(rows) for split, rows in self.splits.items()},
            "rows_by_class": {
                split: _by_class(rows, self.class_names) for split, rows in self.splits.items()
            },
            "sha256": dict(self.sha256),
            "is_published_rows": self.is_published_rows,
            "differences": list(self.differences),
        }


def _by_class(rows: Examples, names: tuple[str, ...]) -> dict[str, int]:
    """Count the rows of each class, or its bases where each base has one."""
    if not names:
        return {}
    counts: Counter[int] = Counter()
    for label in rows.labels:
        counts.update(label.tolist() if isinstance(label, np.ndarray) else [int(label)])
    return {name: counts[number] for number, name in enumerate(names)}


def read_task_data(
    task: Task,
    data: Path | None = None,
    *,
    offline: bool = False,
    stand_in: bool = False,
    length: int | None = None,
    n_windows: int | None = None,
    sequence_column: str | None = None,
    label_column: str | None = None,
    delimiter: str | None = None,
    seed: int = 0,
) -> TaskData:
    """Read the rows of a task from a folder or from the hub, and compare them with the published.

    Parameters
    ----------
    task
        What is read.
    data
        The folder of the task, or one that holds it under one of its names; None: from the
        hub.
    offline
        Whether the hub is read from what was fetched before only.
    stand_in
        Whether validation rows take the place of training or test rows that are missing, and
        test rows that are all there is are parted; such rows are not the published ones.
    length
        Another length than the task's, in bp, where windows are cut.
    n_windows
        Of each class to learn from, where they are drawn from genomes or from an alignment.
    sequence_column, label_column, delimiter
        Of tables that are not as the task says: names of columns, and what separates them.
    seed
        Of splits and windows that are drawn.

    Raises
    ------
    InputError
        If the data are not there, are not as the task says, or an option is not for them.
    """
    if length is not None and task.layout not in _CUT:
        raise InputError(f"{task.name} is read as it is: a length is for windows that are cut")
    if n_windows is not None and task.layout not in ("genomes", "alignment"):
        raise InputError(
            f"{task.name} is read whole: a number of windows is for genomes and alignments"
        )
    wanted = replace(task, length=length) if length is not None else task
    columns = {"sequence_columns": sequence_column, "label_columns": label_column}
    named = {key: (name,) for key, name in columns.items() if name is not None}
    if (named or delimiter is not None) and task.layout != "labelled":
        raise InputError(
            f"{task.name} has no table of sequences and labels: --sequence-column, --label-column "
            "and --delimiter are of one"
        )
    wanted = replace(wanted, **named)
    folder = task_folder(task, data if data is not None else hub_folder(task, offline=offline))
    if task.layout == "labelled":
        splits, names = read_labelled(wanted, folder, stand_in=stand_in, delimiter=delimiter)
    else:
        splits, names = _read(wanted, folder, stand_in=stand_in, n_windows=n_windows, seed=seed)
    _check_rows(splits, folder, task)
    if stand_in and set(splits) == {"test"}:
        _log.warning("%s: only test rows are there: all parts are taken from them", task.name)
        splits = _in_order(splits["test"])
    sha256 = {split: digest(rows, names) for split, rows in splits.items()}
    differences = tuple(_differences(task, wanted, splits, sha256, stand_in=stand_in))
    sizes = ", ".join(f"{len(rows):,} {split}" for split, rows in splits.items())
    verdict = "; ".join(differences) or "the published rows and split"
    _log.info("%s: %s rows of %s (%s)", task.name, sizes, folder, verdict)
    return TaskData(wanted, str(folder), names, splits, sha256, differences)


def _check_rows(splits: Mapping[str, Examples], folder: Path, task: Task) -> None:
    """Raise an InputError if a split is there and has no row."""
    for split, rows in splits.items():
        if not len(rows):
            raise InputError(
                f"{folder}: the {split} part of {task.name} has no row; copy it again, or remove it"
            )


def _read(
    task: Task, folder: Path, *, stand_in: bool, n_windows: int | None, seed: int
) -> tuple[dict[str, Examples], tuple[str, ...]]:
    match task.layout:
        case "deepsea":
            return read_deepsea(task, folder, stand_in=stand_in)
        case "alignment":
            return read_aligned(task, folder, seed=seed, n_windows=n_windows), task.classes
        case "genomes":
            n = {} if n_windows is None else {"n_windows": n_windows}
            return read_genomes(task, folder, seed=seed, **n), task.classes
        case "splice_triples":
            return read_triples(task, folder, seed=seed), ()
        case "genes":
            return read_genes(task, folder)
        case _:
            return read_annotation(task, folder), task.classes


def _in_order(rows: Examples) -> dict[str, Examples]:
    """Part rows, 8 : 1 : 1, in their order: those that stand side by side may overlap."""
    n = len(rows)
    edges = (0, n * 8 // 10, n * 9 // 10, n)
    return {
        split: Examples(rows.sequences[start:end], rows.labels[start:end])
        for split, start, end in zip(SPLITS, edges, edges[1:], strict=False)
    }


def _differences(
    stated: Task,
    task: Task,
    splits: Mapping[str, Examples],
    sha256: Mapping[str, str],
    *,
    stand_in: bool,
) -> list[str]:
    if not task.published_rows:
        return ["no rows of this task are published: these were prepared here"]
    found: list[str] = []
    if stand_in and "validation" in task.published_rows and "validation" not in splits:
        found.append("the validation rows stand in for another split")
    if task.length != stated.length:
        found.append(f"read at {task.length:,} bp, published at {stated.length:,}")
    for split, n in task.published_rows.items():
        have = len(splits[split]) if split in splits else 0
        if n is None:
            found.append(f"{split}: {have:,} rows, and how many were published is not known")
        elif have != n:
            found.append(f"{split}: {have:,} rows, published {n:,}")
        elif split in task.sha256 and sha256[split] != task.sha256[split]:
            found.append(f"{split}: other rows than the published {n:,}")
    extra = [split for split in splits if split not in task.published_rows]
    return [*found, *(f"{split}: no such split is published" for split in extra)]
