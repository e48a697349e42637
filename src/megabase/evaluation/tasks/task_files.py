"""The rows of a task in memory, and its files: in a folder, or from the hub."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.evaluation.tasks.task import Task
from megabase.io.compression import uncompressed_name
from megabase.runtime.location import seconds_for_hub, why_unreachable

Label = int | float | UInt8[np.ndarray, " _"]
"""A class, counted from 0; a value; or a number for each label or each base."""


class TaskExamples(NamedTuple):
    """Sequences of letters, and the label of each."""

    sequences: list[str]
    labels: list[Label]

    def __len__(self) -> int:
        return len(self.sequences)


def digest(examples: TaskExamples, class_names: Sequence[str] = ()) -> str:
    """Return the SHA-256 of rows, independent of their order.

    It is the SHA-256 of the sorted SHA-256 digests of the rows. A row is the letters as they
    were read, a tab, and the label: the name of its class, the digits of each label or base, or
    the value with 8 significant digits.

    Parameters
    ----------
    examples
        The rows; duplicates count.
    class_names
        Names of the classes, if labels are classes.

    Examples
    --------
    >>> rows = TaskExamples(["ACGT", "CC"], [0, 1])
    >>> turned = TaskExamples(["CC", "ACGT"], [1, 0])
    >>> digest(rows, ["no", "yes"]) == digest(turned, ["no", "yes"])
    True
    """
    texts = zip(examples.sequences, _texts(examples.labels, class_names), strict=True)
    rows = sorted(
        hashlib.sha256(f"{letters}\t{label}".encode()).digest() for letters, label in texts
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def _texts(labels: Iterable[Label], class_names: Sequence[str]) -> Iterable[str]:
    for label in labels:
        if isinstance(label, np.ndarray):
            yield "".join(map(str, label.tolist()))
        elif isinstance(label, float):
            yield f"{label:.8g}"
        else:
            yield class_names[label] if class_names else str(label)


def draw_parts(n_units: int, seed: int) -> list[str]:
    """Draw the split of each unit, train : validation : test = 8 : 1 : 1.

    Parameters
    ----------
    n_units
        Number of units whose rows must stay together, such as genes or alignment blocks.
    seed
        Seed of the draw.

    Returns
    -------
    parts
        ``train``, ``validation`` or ``test`` for each unit; with three units or more, no split
        is empty.
    """
    n_held = max(1, n_units // 10)
    order = np.random.default_rng(seed).permutation(n_units)
    parts = ["train"] * n_units
    for place, unit in enumerate(order[: 2 * n_held]):
        parts[unit] = "test" if place < n_held else "validation"
    return parts


_HELD_OUT = 5  # training windows for each window of a held-out split


def windows_of(split: str, n_windows: int) -> int:
    """Return the number of windows of a split: `n_windows` for training, else a fifth of it."""
    return n_windows if split == "train" else max(1, n_windows // _HELD_OUT)


MOST_UNKNOWN = 0.1
"""The share of letters other than A, C, G and T above which a window is skipped."""


def is_known(letters: str) -> bool:
    """Return whether at most `MOST_UNKNOWN` of the letters are not A, C, G or T."""
    upper = letters.upper()
    return len(letters) - sum(map(upper.count, "ACGT")) <= MOST_UNKNOWN * len(letters)


def hub_folder(task: Task, *, offline: bool = False) -> Path:
    """Download the folder of a task, unless it is cached; return the folder of the repository.

    Parameters
    ----------
    task
        A task with a `hub_id`.
    offline
        Use only cached files. `HF_HUB_OFFLINE` sets this for every call. A hub that does not
        answer one short request is treated as offline.

    Raises
    ------
    InputError
        If the task is not on the hub, or its files are neither cached nor available.
    """
    if not task.hub_id:
        raise InputError(
            f"{task.name} is not on the hub; pass the folder of its data "
            f"({task.source.url or 'none is published'})"
        )
    unreachable = (
        "offline" if offline else why_unreachable(task.hub_id, "README.md", repo_type="dataset")
    )
    try:
        folder = snapshot_download(
            task.hub_id,
            repo_type="dataset",
            allow_patterns=[f"{task.hub_folder}/*"],
            local_files_only=unreachable is not None,
            etag_timeout=seconds_for_hub(),
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = (
            f"{unreachable}, and it is not in the cache"
            if unreachable
            else str(error).splitlines()[0]
        )
        raise InputError(
            f"{task.hub_id} could not be downloaded from the hub ({reason}); pass the folder with "
            f"the data of {task.name}"
        ) from error
    return Path(folder)


_SPLIT_WORDS = {
    "train": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test",
}  # fmt: skip

FORMATS = (".tsv", ".csv", ".parquet", ".fna", ".fa", ".fasta")
"""Extensions of files of rows, before an optional ``.gz`` or ``.bgz``."""


def task_folder(task: Task, data: Path) -> Path:
    """Return the folder of a task: a subfolder with one of its names, or `data` itself.

    Parameters
    ----------
    task
        The task.
    data
        Folder of the task's data, or of the data of several tasks.

    Raises
    ------
    InputError
        If `data` is not a folder.
    """
    if not data.is_dir():
        raise InputError(f"{data} is not a folder; pass the folder with the data of {task.name}")
    inside = (data / name for name in (*task.folders, *filter(None, [task.hub_folder])))
    return next((folder for folder in inside if folder.is_dir()), data)


def task_files(task: Task, folder: Path) -> dict[str, Path]:
    """Return the file that matches each pattern of a task's `files`, by its role.

    Raises
    ------
    InputError
        If no file, or more than one, matches a pattern.
    """
    found: dict[str, Path] = {}
    for role, pattern in task.files.items():
        paths = [
            path for path in sorted(folder.glob(pattern)) if path.suffix not in (".fai", ".gzi")
        ]
        if len(paths) != 1:
            came = ", ".join(path.name for path in paths) or "none"
            raise InputError(
                f"{task.name} needs exactly one file {pattern} in {folder} ({role}), found {came}"
            )
        found[role] = paths[0]
    return found


def split_paths(folder: Path) -> dict[str, list[Path]]:
    """Return the files, or the folder of classes, of each split, sorted by name.

    The split is recognised by one of the words train, validation, valid, val, dev and test in
    the name, delimited by dots, dashes or underscores.

    Raises
    ------
    InputError
        If a split has several files that are not numbered shards of one file.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        split = _split_of(path)
        if split:
            found.setdefault(split, []).append(path)
    for split, paths in found.items():
        is_one = len(paths) == 1 or all(re.search(r"-\d+-of-\d+", path.name) for path in paths)
        if not is_one:
            names = ", ".join(path.name for path in paths)
            raise InputError(f"{folder} has several files for {split}: {names}; keep one of them")
    return found


def _split_of(path: Path) -> str | None:
    name = uncompressed_name(path)
    if path.is_dir():
        return _SPLIT_WORDS.get(name)
    if not name.endswith(FORMATS):
        return None
    words = {_SPLIT_WORDS[word] for word in re.split(r"[._-]", name) if word in _SPLIT_WORDS}
    return words.pop() if len(words) == 1 else None


def check_splits(task: Task, found: Mapping[str, object], folder: Path) -> None:
    """Raise an InputError unless training and test rows were found."""
    missing = [split for split in ("train", "test") if split not in found]
    if not missing:
        return
    lacks = f"{folder} has no {' and no '.join(missing)} rows of {task.name}"
    if "validation" in found and len(missing) == 1:
        raise InputError(
            f"{lacks}; use its validation rows in place of {missing[0]} with --substitute-split"
        )
    others = f" (it has {', '.join(found)})" if found else ""
    tried = ", ".join(map(str, (folder, *(folder / name for name in task.folders))))
    near = next((str(each) for each in sorted(folder.iterdir()) if _has_splits(each)), "")
    hint = f"; did you mean --data {near}?" if near else ""
    raise InputError(
        f"{lacks}{others}: looked for folders named train and test, and files with these words in "
        f"their names that end in {', '.join(FORMATS)} (optionally followed by .gz), in "
        f"{tried}{hint}"
    )


def _has_splits(folder: Path) -> bool:
    """Return whether the names in a folder include training and test rows."""
    return folder.is_dir() and {"train", "test"} <= {_split_of(each) for each in folder.iterdir()}
