"""Rows of a sequence and a label, from each layout that benchmarks come in."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path

import numpy as np

from megabase.errors import InputError
from megabase.evaluation.tasks.task import Task
from megabase.evaluation.tasks.task_files import (
    Label,
    TaskExamples,
    check_splits,
    draw_parts,
    split_paths,
    task_files,
)
from megabase.io.compression import open_text, uncompressed_name
from megabase.io.sequence_file import read_sequences
from megabase.io.tables import read_rows

_log = logging.getLogger(__name__)

Row = tuple[str, str]
"""A sequence, and its label as text."""


def read_labelled(
    task: Task, folder: Path, *, stand_in: bool = False, delimiter: str | None = None
) -> tuple[dict[str, TaskExamples], tuple[str, ...]]:
    """Read the splits and the class names of a task.

    Parameters
    ----------
    task
        A task of layout ``labelled``.
    folder
        Folder with a file, or a folder of classes, for each split (`task_files.split_paths`).
    stand_in
        Use validation rows in place of missing training or test rows.
    delimiter
        Separator of the columns of text tables; None: detected from the first lines.

    Returns
    -------
    splits, class_names
        The rows of each split, and the names of the classes; empty for a regression.

    Raises
    ------
    InputError
        If a split, column or class is missing, or a label is not one of the task.
    """
    paths = split_paths(folder)
    if stand_in:
        paths = _with_stand_in(paths)
    check_splits(task, paths, folder)
    rows = {
        split: list(_read_split(task, of_split, delimiter)) for split, of_split in paths.items()
    }
    names = task.classes
    if not names and task.kind != "regression":
        names = tuple(sorted({label for _, label in rows["train"]}))
    return {
        split: TaskExamples(
            [letters for letters, _ in some], list(_labels(task, names, split, some))
        )
        for split, some in rows.items()
    }, names


def _with_stand_in(paths: dict[str, list[Path]]) -> dict[str, list[Path]]:
    missing = [split for split in ("train", "test") if split not in paths]
    if len(missing) != 1 or "validation" not in paths:
        return paths
    _log.warning("%s rows are missing: validation rows are used in their place", missing[0])
    return {missing[0] if split == "validation" else split: some for split, some in paths.items()}


def _read_split(task: Task, paths: Sequence[Path], delimiter: str | None) -> Iterator[Row]:
    for path in paths:
        if path.is_dir():
            yield from _read_class_folders(task, path)
        elif uncompressed_name(path).endswith((".tsv", ".csv", ".parquet")):
            yield from _columns(task, read_rows(path, (), delimiter=delimiter), str(path))
        else:
            yield from _read_fasta(path)


def _columns(task: Task, rows: Iterable[Mapping[str, str]], name: str) -> Iterator[Row]:
    chosen: tuple[str, str] | None = None
    for row in rows:
        chosen = chosen or (
            _first(task.sequence_columns, row, name),
            _first(task.label_columns, row, name),
        )
        sequence, label = chosen
        yield row[sequence], row[label]


def _first(columns: Sequence[str], row: Mapping[str, str], name: str) -> str:
    for column in columns:
        if column in row:
            return column
    raise InputError(f"{name} has no column {' or '.join(columns)}; it has {', '.join(row)}")


def _read_fasta(path: Path) -> Iterator[Row]:
    for header, letters in read_sequences(path):
        _, bar, label = header.rpartition("|")
        if not bar:
            raise InputError(f"{path}: a header must end in |label, got {header!r}")
        yield letters, label.strip()


def _read_class_folders(task: Task, folder: Path) -> Iterator[Row]:
    found = {path.name: path for path in folder.iterdir() if path.is_dir()}
    if set(found) != set(task.classes):
        raise InputError(
            f"{folder} needs a folder of .txt files for each class, {', '.join(task.classes)}; "
            f"it has {', '.join(sorted(found)) or 'none'} (download_dataset of GenomicBenchmarks "
            "creates them from intervals)"
        )  # fmt: skip
    for name in task.classes:
        for path in sorted(found[name].glob("*.txt")):
            with open_text(path) as file:
                yield file.read().strip(), name


def _labels(task: Task, names: Sequence[str], split: str, rows: Sequence[Row]) -> Iterator[Label]:
    # A class that is named like a number takes precedence over the number.
    numbers = {str(number): number for number in range(len(names))}
    numbers |= {name: number for number, name in enumerate(names)}
    for number, (letters, text) in enumerate(rows, start=1):
        if not letters:
            raise InputError(f"{task.name}, {split}, row {number:,}: the sequence is empty")
        if task.kind == "regression":
            yield _value(text, f"{task.name}, {split}, row {number:,}")
        elif text in numbers:
            yield numbers[text]
        else:
            known = ", ".join(f"{name} ({place})" for place, name in enumerate(names))
            raise InputError(
                f"{task.name}, {split}, row {number:,}: label {text!r} is not one of {known}"
            )


def _value(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise InputError(f"{place}: expected a finite number, got {text!r}")
    return value


def read_deepsea(
    task: Task, folder: Path, *, stand_in: bool = False
) -> tuple[dict[str, TaskExamples], tuple[str, ...]]:
    """Read DeepSEA's chromatin rows: letters and 919 labels, in CSV without a header.

    Of the letters the central `task.length` are kept. A missing split is left out.

    Parameters
    ----------
    task
        A task of layout ``deepsea``.
    folder
        Folder with a CSV file for each split.
    stand_in
        Use validation rows in place of missing training or test rows.

    Returns
    -------
    splits, class_names
        The rows of each split, and no class names.

    Raises
    ------
    InputError
        If a row has another number of labels, a label other than 0 and 1, or too few letters.
    """
    paths = {split: some for split, some in split_paths(folder).items() if some[0].is_file()}
    if stand_in:
        paths = _with_stand_in(paths)
    if not paths:
        raise InputError(f"{folder} has no train, validation or test file of {task.name} (.csv)")
    found = {split: _read_rows_of_labels(task, some[0]) for split, some in paths.items()}
    return found, ()


def _read_rows_of_labels(task: Task, path: Path) -> TaskExamples:
    n_labels = task.n_outputs
    examples = TaskExamples([], [])
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            letters, *labels = line.strip().split(",")
            if len(labels) != n_labels or not set(labels) <= {"0", "1"}:
                raise InputError(
                    f"{path}, line {number}: expected letters and {n_labels} labels of 0 or 1, "
                    f"got {len(labels)} labels, among them {', '.join(sorted(set(labels))[:3])}"
                )
            examples.sequences.append(_centre(letters, task.length, f"{path}, line {number}"))
            examples.labels.append(np.array(labels, dtype=np.uint8))
    return examples


def _centre(letters: str, length: int | None, place: str) -> str:
    if length is None:
        return letters
    if len(letters) < length:
        raise InputError(f"{place}: expected {length:,} letters or more, got {len(letters):,}")
    start = (len(letters) - length) // 2
    return letters[start : start + length]


def read_triples(task: Task, folder: Path, *, seed: int) -> dict[str, TaskExamples]:
    """Read triples and split them by gene, 8 : 1 : 1.

    Genes that share an identical triple are kept together in one split.

    Parameters
    ----------
    task
        A task of layout ``splice_triples``.
    folder
        Folder with the file: one triple on each line, as exon, intron, exon, count and gene
        separated by blanks.
    seed
        Seed of the split.

    Returns
    -------
    splits
        The concatenated letters of each triple, and the natural logarithm of its count.

    Raises
    ------
    InputError
        If a line is invalid (the message has its number), or if fewer than three groups of
        genes are found.
    """
    path = task_files(task, folder)["triples"]
    triples = list(_read(path))
    family = _families(triples)
    families = sorted(set(family.values()))
    if len(families) < 3:
        raise InputError(
            f"{path} has {len(families)} groups of genes without a shared triple; three splits "
            "need at least three"
        )
    parts = dict(zip(families, draw_parts(len(families), seed), strict=True))
    found = {split: TaskExamples([], []) for split in ("train", "validation", "test")}
    for letters, value, gene in triples:
        part = parts[family[gene]]
        found[part].sequences.append(letters)
        found[part].labels.append(value)
    return found


def _families(triples: list[tuple[str, float, str]]) -> dict[str, str]:
    """Return the representative of each gene: the first by name of all genes linked to it.

    Genes are linked if they share a triple, directly or through other genes (union-find).
    """
    parent = {gene: gene for _, _, gene in triples}

    def root(gene: str) -> str:
        while parent[gene] != gene:
            gene = parent[gene]
        return gene

    owner: dict[str, str] = {}
    for letters, _, gene in triples:
        low, high = sorted((root(gene), root(owner.setdefault(letters, gene))))
        parent[high] = low
    return {gene: root(gene) for gene in parent}


def _read(path: Path) -> list[tuple[str, float, str]]:
    triples: list[tuple[str, float, str]] = []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            fields = line.split()
            if len(fields) != 5 or not fields[3].isdecimal() or int(fields[3]) < 1:
                raise InputError(
                    f"{path}, line {number}: expected exon, intron, exon, a count of at least 1 "
                    f"and a gene, got {line[:60].strip()!r}"
                )
            triples.append(("".join(fields[:3]), math.log(int(fields[3])), fields[4]))
    return triples
