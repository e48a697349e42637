"""Find the files of a task's splits in a folder, by their names."""

import re
from collections.abc import Mapping
from pathlib import Path

from megabase.errors import InputError
from megabase.evaluation.tasks.task import Task
from megabase.io.compression import uncompressed_name

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
            f"{lacks}; use its validation rows in place of {missing[0]} with --stand-in"
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
