"""Read the rows of a task, and compare them with the published rows and split."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from megabase.errors import InputError
from megabase.evaluation.tasks.genome_rows import (
    read_aligned,
    read_annotation,
    read_genes,
    read_genomes,
)
from megabase.evaluation.tasks.labelled_rows import read_deepsea, read_labelled, read_triples
from megabase.evaluation.tasks.task import SPLITS, Task
from megabase.evaluation.tasks.task_files import TaskExamples, digest, hub_folder, task_folder
from megabase.metrics.results import Published

_log = logging.getLogger(__name__)

_CUT = ("deepsea", "alignment", "genomes", "annotation")  # layouts that accept a length


@dataclass(frozen=True)
class TaskData:
    """The rows of a task as they were read.

    Parameters
    ----------
    task
        The task, with the length and columns that were used.
    place
        The folder the rows were read from.
    class_names
        Names of the classes, in the order of their numbers.
    splits
        Rows of ``train``, ``validation`` and ``test``; missing splits are left out.
    sha256
        The `task_files.digest` of each split.
    differences
        Differences from the published rows and split, one line each.
    """

    task: Task
    place: str
    class_names: tuple[str, ...]
    splits: Mapping[str, TaskExamples]
    sha256: Mapping[str, str]
    differences: tuple[str, ...]

    @property
    def is_published_rows(self) -> bool:
        """Whether rows and split are the published ones, as far as can be checked.

        They are compared by digest if the task has one, else by the number of rows of each
        split.
        """
        return not self.differences

    def published(self) -> tuple[Published, ...]:
        """Return the comparable published numbers; empty if the rows are not the published ones."""
        return self.task.published if self.is_published_rows else ()

    def to_dict(self) -> dict[str, Any]:
        """Return a description as plain values, without the rows."""
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


def _by_class(rows: TaskExamples, names: tuple[str, ...]) -> dict[str, int]:
    """Return the number of rows of each class, or of bases if labels are per base."""
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
    """Read the rows of a task from a folder or the hub, and compare them with the published ones.

    Parameters
    ----------
    task
        The task to read.
    data
        Folder of the task's data, or of the data of several tasks; None: download from the hub.
    offline
        Use only data that the hub's cache already holds.
    stand_in
        Use validation rows in place of missing training or test rows; if there are only test
        rows, split them. Such rows do not count as the published ones.
    length
        Length of windows in bp, for layouts that cut windows; None: the length of the task.
    n_windows
        Number of training windows of each class, for windows from genomes or an alignment.
    sequence_column, label_column
        Columns of a table, if they differ from those of the task.
    delimiter
        Separator of the columns of text tables; None: detected.
    seed
        Seed of drawn splits and windows.

    Raises
    ------
    InputError
        If the data are missing or invalid, or an option does not apply to the layout.
    """
    if length is not None and task.layout not in _CUT:
        raise InputError(f"{task.name} does not cut windows, so a length does not apply")
    if n_windows is not None and task.layout not in ("genomes", "alignment"):
        raise InputError(
            f"{task.name} does not draw windows from genomes or alignments, so a number of windows "
            "does not apply"
        )
    wanted = replace(task, length=length) if length is not None else task
    columns = {"sequence_columns": sequence_column, "label_columns": label_column}
    named = {key: (name,) for key, name in columns.items() if name is not None}
    if (named or delimiter is not None) and task.layout != "labelled":
        raise InputError(
            f"{task.name} has no table of sequences and labels; remove --sequence-column, "
            "--label-column and --delimiter"
        )
    wanted = replace(wanted, **named)
    folder = task_folder(task, data if data is not None else hub_folder(task, offline=offline))
    if task.layout == "labelled":
        splits, names = read_labelled(wanted, folder, stand_in=stand_in, delimiter=delimiter)
    else:
        splits, names = _read(wanted, folder, stand_in=stand_in, n_windows=n_windows, seed=seed)
    _check_rows(splits, folder, task)
    if stand_in and set(splits) == {"test"}:
        _log.warning("%s: only test rows were found: all splits are taken from them", task.name)
        splits = _in_order(splits["test"])
    sha256 = {split: digest(rows, names) for split, rows in splits.items()}
    differences = tuple(_differences(task, wanted, splits, sha256, stand_in=stand_in))
    sizes = ", ".join(f"{len(rows):,} {split}" for split, rows in splits.items())
    verdict = "; ".join(differences) or "the published rows and split"
    _log.info("%s: %s rows of %s (%s)", task.name, sizes, folder, verdict)
    return TaskData(wanted, str(folder), names, splits, sha256, differences)


@dataclass(frozen=True)
class Choice:
    """Where the rows of tasks come from, and how they are split.

    Parameters
    ----------
    data
        Folder of the task's data, or of the data of several tasks; None: download from the hub.
    protocol
        One of `task_rows.PROTOCOLS`.
    offline
        Use only data that the hub's cache already holds.
    stand_in
        Use validation rows in place of missing training or test rows.
    length
        Length of windows in bp, if the task cuts windows; None: the length of the task.
    n_windows
        Number of training windows of each class, if windows are drawn; None: the default.
    sequence_column, label_column
        Columns of a table, if they differ from those of the task.
    delimiter
        Separator of the columns of text tables; None: detected.
    """

    # Names of fields are keys of saved requests: if one changes, such as stand_in, a finished
    # output becomes that of another request.
    data: Path | None = None
    protocol: str = "clean"
    offline: bool = False
    stand_in: bool = False
    length: int | None = None
    n_windows: int | None = None
    sequence_column: str | None = None
    label_column: str | None = None
    delimiter: str | None = None

    def request(self) -> dict[str, Any]:
        """Return the options that identify a run, without those that only affect digests."""
        of_digest = ("sequence_column", "label_column", "delimiter")
        keys = {key: value for key, value in asdict(self).items() if key not in of_digest}
        return keys | {"data": None}

    def read(self, task: Task, seed: int) -> TaskData:
        """Read the rows of a task; `seed` fixes drawn splits and windows."""
        return read_task_data(
            task, self.data, offline=self.offline, stand_in=self.stand_in, length=self.length,
            n_windows=self.n_windows, sequence_column=self.sequence_column,
            label_column=self.label_column, delimiter=self.delimiter, seed=seed,
        )  # fmt: skip


def _check_rows(splits: Mapping[str, TaskExamples], folder: Path, task: Task) -> None:
    """Raise an InputError if a split exists but has no row."""
    for split, rows in splits.items():
        if not len(rows):
            raise InputError(
                f"{folder}: the {split} split of {task.name} has no rows; copy or remove its file"
            )


def _read(
    task: Task, folder: Path, *, stand_in: bool, n_windows: int | None, seed: int
) -> tuple[dict[str, TaskExamples], tuple[str, ...]]:
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


def _in_order(rows: TaskExamples) -> dict[str, TaskExamples]:
    """Split rows 8 : 1 : 1 in their order, because neighbouring rows may overlap."""
    n = len(rows)
    edges = (0, n * 8 // 10, n * 9 // 10, n)
    return {
        split: TaskExamples(rows.sequences[start:end], rows.labels[start:end])
        for split, start, end in zip(SPLITS, edges, edges[1:], strict=False)
    }


def _differences(
    stated: Task,
    task: Task,
    splits: Mapping[str, TaskExamples],
    sha256: Mapping[str, str],
    *,
    stand_in: bool,
) -> list[str]:
    if not task.published_rows:
        return ["no rows of this task are published; these were prepared locally"]
    found: list[str] = []
    if stand_in and "validation" in task.published_rows and "validation" not in splits:
        found.append("the validation rows are used in place of another split")
    if task.length != stated.length:
        found.append(f"read at {task.length:,} bp, published at {stated.length:,}")
    for split, n in task.published_rows.items():
        have = len(splits[split]) if split in splits else 0
        if n is None:
            found.append(f"{split}: {have:,} rows, published number unknown")
        elif have != n:
            found.append(f"{split}: {have:,} rows, published {n:,}")
        elif split in task.sha256 and sha256[split] != task.sha256[split]:
            found.append(f"{split}: rows differ from the published {n:,}")
    extra = [split for split in splits if split not in task.published_rows]
    return [*found, *(f"{split}: this split is not published" for split in extra)]
