"""Windows of aligned genomes, with all copies of a locus in the same split."""

import logging
from pathlib import Path

import numpy as np

from megabase.errors import InputError
from megabase.evaluation.examples import Examples, draw_parts, is_known, windows_of
from megabase.evaluation.task_folder import task_files
from megabase.evaluation.tasks.task import Task
from megabase.io.maf import AlignedRow, read_maf

_log = logging.getLogger(__name__)


def read_aligned(
    task: Task, folder: Path, *, seed: int, n_windows: int | None = None
) -> dict[str, Examples]:
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


def _parted(blocks: list[list[list[str]]], seed: int, n_windows: int | None) -> dict[str, Examples]:
    found = {split: Examples([], []) for split in ("train", "validation", "test")}
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
