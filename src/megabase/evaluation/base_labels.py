"""Label each base of a chromosome from tables of exons and coding sequences."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.evaluation.examples import Examples, is_known
from megabase.evaluation.task_folder import task_files
from megabase.evaluation.tasks.task import Task
from megabase.genome.interval import Interval, parse_strand
from megabase.genome.reference import check_inside
from megabase.io.compression import open_text
from megabase.io.genome_file import open_reference
from megabase.io.table import read_table
from megabase.run.location import cache_folder
from megabase.run.log import counted

_log = logging.getLogger(__name__)

_MARKS = {"exons": 1, "coding": 2}  # later marks overwrite earlier ones


def read_places(path: Path, contigs: Mapping[str, str]) -> list[Interval]:
    """Read intervals from a table of chrom, start and end, 1-based and closed.

    Parameters
    ----------
    path
        Tab-separated table with a header.
    contigs
        Name of a contig in the genome, by its name in the table, if they differ.

    Raises
    ------
    InputError
        If a column is missing or a line is invalid; the message has the line number.
    """
    return [place for place, _ in read_placed_rows(path, contigs)]


def read_placed_rows(
    path: Path,
    contigs: Mapping[str, str],
    *,
    columns: Sequence[str] = (),
    strand: str | None = None,
) -> Iterator[tuple[Interval, dict[str, str]]]:
    """Yield the interval of each row of a table, and the row as text by column.

    Parameters
    ----------
    path
        Tab-separated table with a header: chrom, start and end, 1-based and closed.
    contigs
        Name of a contig in the genome, by its name in the table, if they differ.
    columns
        Further required columns.
    strand
        Name of the strand column; None: all intervals are on the forward strand.

    Raises
    ------
    InputError
        If a column is missing or a line is invalid; the message has the line number.
    """
    asked = ("chrom", "start", "end", *columns, *([strand] if strand else []))
    with open_text(path) as file:
        for number, row in enumerate(read_table(file, asked, name=str(path)), start=2):
            contig = contigs.get(row["chrom"], row["chrom"])
            try:
                side = parse_strand(row[strand]) if strand else "+"
                place = Interval(contig, int(row["start"]) - 1, int(row["end"]), side)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
            yield place, row


def read_annotation(task: Task, folder: Path) -> dict[str, Examples]:
    """Return adjacent windows that contain a base of an exon, with the class of each base.

    Windows in the last tenth of a contig are the test split, those in the tenth before it the
    validation split. Windows with more than a tenth of N are skipped, and their number is
    logged.

    Parameters
    ----------
    task
        A task of layout ``annotation``.
    folder
        Folder with the genome and the tables.

    Raises
    ------
    InputError
        If a file is missing, or an interval extends beyond its contig.
    """
    files = task_files(task, folder)
    reference = open_reference(files["genome"], cache=cache_folder())
    length = task.length or 1
    marks: dict[str, UInt8[np.ndarray, " base"]] = {}
    for role, mark in _MARKS.items():
        for place in read_places(files[role], task.aliases):
            check_inside(place, reference.lengths, reference.name)
            n_bp = reference.lengths[place.contig]
            marks.setdefault(place.contig, np.zeros(n_bp, dtype=np.uint8))
            marks[place.contig][place.start : place.end] = mark
    found = {split: Examples([], []) for split in ("train", "validation", "test")}
    n_unknown = 0
    for contig, labels in marks.items():
        n = len(labels) // length
        per_window = labels[: n * length].reshape(n, length)
        for number in np.flatnonzero(per_window.any(axis=1)).tolist():
            window = Interval(contig, number * length, (number + 1) * length)
            letters = reference.fetch(window)
            if is_known(letters):
                examples = found[part_of(number, n)]
                examples.sequences.append(letters)
                examples.labels.append(per_window[number].copy())
            else:
                n_unknown += 1
    n = counted(n_unknown, "window", "windows")
    _log.info("%s: skipped with more than 10 %% N: %s", task.name, n)
    return found


def part_of(number: int, n: int) -> str:
    """Return the split of window or position `number` (from 0) of a contig that has `n` of them.

    Examples
    --------
    >>> [part_of(number, 10) for number in (7, 8, 9)]
    ['train', 'validation', 'test']
    """
    if number >= n - n // 10:
        return "test"
    return "validation" if number >= n - 2 * (n // 10) else "train"
