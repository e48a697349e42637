"""Rows of tasks that are prepared here: windows of genomes and alignments, bases, genes."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError, counted
from megabase.evaluation.tasks.task import SPLITS, Task
from megabase.evaluation.tasks.task_files import (
    FORMATS,
    TaskExamples,
    draw_parts,
    is_known,
    task_files,
    windows_of,
)
from megabase.genome.interval import Interval, parse_strand
from megabase.genome.reference import Reference, check_inside
from megabase.genome.split import hold_out_contigs, hold_out_tail
from megabase.io.compression import open_text
from megabase.io.genome_file import open_reference
from megabase.io.maf import AlignedRow, read_maf
from megabase.io.tables import read_table
from megabase.runtime.location import cache_folder

_TRIES = 100  # maximum number of draws for each window, because windows with many N are rejected


def read_genomes(
    task: Task, folder: Path, *, seed: int, n_windows: int = 200
) -> dict[str, TaskExamples]:
    """Draw windows of each species: a contig uniformly, then a position on it uniformly.

    Test windows come from the test contigs of the task, with or without ``chr``. Of every other
    contig, the last tenth is for validation and the rest for training. A window with more than
    a tenth of N is rejected and another one drawn.

    Parameters
    ----------
    task
        A task of layout ``genomes``.
    folder
        Folder with a genome for each class, named after it: ``human.fa.gz``, ``mouse.2bit``.
    seed
        Seed of the windows.
    n_windows
        Number of training windows of each class; validation and test get a fifth as many.

    Raises
    ------
    InputError
        If a genome or its test contigs are missing, or no contig is as long as a window.
    """
    found = {split: TaskExamples([], []) for split in ("train", "validation", "test")}
    for number, name in enumerate(task.classes):
        reference = open_reference(_genome(task, folder, name), cache=cache_folder())
        for place, (split, parts) in enumerate(_parts(task, reference).items()):
            n = windows_of(split, n_windows)
            rng = np.random.default_rng([seed, number, place])
            windows = _draw(reference, parts, task.length or 0, n, rng)
            found[split].sequences.extend(windows)
            found[split].labels.extend([number] * n)
    return found


def _genome(task: Task, folder: Path, name: str) -> Path:
    ends = [*(end + gz for end in FORMATS[3:] for gz in ("", ".gz", ".bgz")), ".2bit"]
    paths = [folder / f"{name}{end}" for end in ends if (folder / f"{name}{end}").is_file()]
    if len(paths) != 1:
        raise InputError(
            f"{task.name} needs one genome for each class in {folder}: {name}.fa, {name}.fa.gz or "
            f"{name}.2bit; found {', '.join(path.name for path in paths) or 'none'}"
        )
    return paths[0]


def _parts(task: Task, reference: Reference) -> dict[str, list[Interval]]:
    whole = [Interval(name, 0, n) for name, n in reference.lengths.items() if n]
    names = [*task.test_contigs, *(f"chr{name}" for name in task.test_contigs)]
    rest, test = hold_out_contigs(whole, names)
    if not test or not rest:
        raise InputError(
            f"{reference.name} needs test contigs ({', '.join(task.test_contigs)}) and others for "
            f"training; it has {', '.join(list(reference.lengths)[:5])}"
        )
    train, validation = hold_out_tail(rest, 0.1, at_least=task.length or 1)
    return {"train": train, "validation": validation, "test": test}


def _draw(
    reference: Reference,
    parts: Sequence[Interval],
    length: int,
    n: int,
    rng: np.random.Generator,
) -> list[str]:
    long = [part for part in parts if len(part) >= length]
    if not long:
        raise InputError(f"no region of {reference.name} is as long as a window, {length:,} bp")
    windows: list[str] = []
    for _ in range(n * _TRIES):
        part = long[rng.integers(len(long))]
        start = part.start + int(rng.integers(len(part) - length + 1))
        letters = reference.fetch(Interval(part.contig, start, start + length))
        windows += [letters] if is_known(letters) else []
        if len(windows) == n:
            return windows
    raise InputError(f"{reference.name} has too many N for windows of {length:,} bp")


_log = logging.getLogger(__name__)


def read_aligned(
    task: Task, folder: Path, *, seed: int, n_windows: int | None = None
) -> dict[str, TaskExamples]:
    """Cut windows from the blocks of an alignment, equally many of each species.

    Gaps are removed from each row, and the rest is cut into adjacent windows from its start. A
    block yields as many windows of each species as its shortest row holds. A window is skipped
    in all species if more than a tenth of it is N in any of them. Whole blocks are drawn for
    the three splits, 8 : 1 : 1.

    Parameters
    ----------
    task
        A task of layout ``alignment``; its `aliases` map species to classes.
    folder
        Folder with the MAF file.
    seed
        Seed of the draw of blocks and windows.
    n_windows
        Maximum number of training windows of each species; held-out splits get a fifth of it.
        None: all windows.

    Raises
    ------
    InputError
        If a block does not have exactly the species of the task, or if fewer than three blocks
        are long enough for a window.
    """
    path = task_files(task, folder)["alignment"]
    length = task.length or 0
    blocks: list[list[list[str]]] = []  # block, window, class: a window has a copy for each class
    longest = n_short = n_unknown = 0
    for rows in read_maf(path):
        copies = _by_class(task, rows, path)
        shortest = min(map(len, copies))
        longest = max(longest, shortest)
        windows = [
            [letters[start : start + length] for letters in copies]
            for start in range(0, shortest - length + 1, length)
        ]
        known = [window for window in windows if all(map(is_known, window))]
        n_short, n_unknown = n_short + (not windows), n_unknown + len(windows) - len(known)
        blocks += [known] if known else []
    if len(blocks) < 3:
        raise InputError(
            f"{path} has {len(blocks)} blocks with a window of {length:,} bp in every species; "
            f"three splits need at least three (the longest block has {longest:,} bp)"
        )
    _log.info(
        "%s: %d blocks; %d too short for %d bp; %d windows skipped with more than 10 %% N",
        path, len(blocks), n_short, length, n_unknown,
    )  # fmt: skip
    return _parted(blocks, seed, n_windows)


def _parted(
    blocks: list[list[list[str]]], seed: int, n_windows: int | None
) -> dict[str, TaskExamples]:
    found = {split: TaskExamples([], []) for split in ("train", "validation", "test")}
    of_block = draw_parts(len(blocks), seed)
    for split, part in found.items():
        chosen = [block for of, block in zip(of_block, blocks, strict=True) if of == split]
        windows = [window for block in chosen for window in block]
        if n_windows is not None:
            drawn = np.random.default_rng([seed, len(windows)]).permutation(len(windows))
            windows = [windows[place] for place in sorted(drawn[: windows_of(split, n_windows)])]
        for window in windows:
            part.sequences.extend(window)
            part.labels.extend(range(len(window)))
    return found


def _by_class(task: Task, rows: list[AlignedRow], path: Path) -> list[str]:
    """Return the letters of each row, without gaps, in the order of the classes."""
    letters = {task.aliases.get(row.species, row.species): row.letters for row in rows}
    if sorted(letters) != sorted(task.classes) or len(rows) != len(letters):
        raise InputError(
            f"{path}: a block has the rows {', '.join(row.source for row in rows)}; {task.name} "
            f"needs exactly one row of each of {', '.join(task.aliases)}"
        )
    return [letters[name].replace("-", "") for name in task.classes]


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


def read_annotation(task: Task, folder: Path) -> dict[str, TaskExamples]:
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
    found = {split: TaskExamples([], []) for split in ("train", "validation", "test")}
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


MOST_BIOTYPES, FEWEST_GENES = 10, 20
"""Maximum number of biotypes, and minimum number of genes of each."""

_STRAND = "Strand"


def read_genes(task: Task, folder: Path) -> tuple[dict[str, TaskExamples], tuple[str, ...]]:
    """Read the letters of each gene, on its own strand, with its biotype.

    Genes in the last tenth of a contig are the test split, those in the tenth before it the
    validation split. A gene that crosses the boundary of a split is skipped, so that
    overlapping genes are in the same split. Genes with more than a tenth of N are skipped, too.
    The classes are the most frequent biotypes of the remaining genes. Skipped genes and the
    classes are logged.

    Parameters
    ----------
    task
        A task of layout ``genes``.
    folder
        Folder with the genome and the table of genes.

    Returns
    -------
    splits, classes
        The rows, and the biotypes from the most to the least frequent.

    Raises
    ------
    InputError
        If a file is missing, a gene extends beyond its contig, or fewer than two biotypes have
        enough genes.
    """
    files = task_files(task, folder)
    column = task.label_columns[0]
    reference = open_reference(files["genome"], cache=cache_folder())
    genes: list[tuple[str, str, str]] = []
    n_over = n_unknown = 0
    for place, row in read_placed_rows(
        files["genes"], task.aliases, columns=(column,), strand=_STRAND
    ):
        check_inside(place, reference.lengths, reference.name)
        n_bp = reference.lengths[place.contig]
        part = part_of(place.start, n_bp)
        letters = reference.fetch(place)
        if part != part_of(place.end - 1, n_bp):
            n_over += 1
        elif not is_known(letters):
            n_unknown += 1
        else:
            genes.append((part, letters, row[column]))
    _log.info(
        "%s: skipped %s genes that cross the boundary of a split, and %s with more than 10 %% N",
        task.name, f"{n_over:,}", f"{n_unknown:,}",
    )  # fmt: skip
    classes = _classes(task.name, Counter(biotype for _, _, biotype in genes))
    found = {split: TaskExamples([], []) for split in SPLITS}
    for part, letters, biotype in genes:
        if biotype in classes:
            found[part].sequences.append(letters)
            found[part].labels.append(classes.index(biotype))
    return found, classes


def _classes(name: str, counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the most frequent biotypes; log which were chosen and which left out."""
    order = sorted(counts, key=lambda biotype: (-counts[biotype], biotype))
    chosen = [each for each in order[:MOST_BIOTYPES] if counts[each] >= FEWEST_GENES]
    if len(chosen) < 2:
        raise InputError(
            f"{name} needs at least two biotypes with {FEWEST_GENES} genes each, found "
            f"{_counted(order, counts) or 'no gene'}; use a larger genome or table"
        )
    _log.info(
        "%s: %d biotypes, %s; left out: %s", name, len(chosen), _counted(chosen, counts),
        _counted(order[len(chosen) :], counts) or "none",
    )  # fmt: skip
    return tuple(chosen)


def _counted(biotypes: list[str], counts: Mapping[str, int]) -> str:
    return ", ".join(f"{each} ({counts[each]:,})" for each in biotypes)
