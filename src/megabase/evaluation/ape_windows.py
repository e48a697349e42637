"""Windows of aligned genomes, of which all copies of a place stay on one side of the split."""

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
    """Cut windows from the blocks of an alignment, as many of each species.

    The gaps of a row are taken out, and what is left is cut from its start into windows
    side by side. A block gives as many of each species as its shortest row has; a window of
    which any species has more than a tenth of N is left out of all. Blocks, not windows,
    are drawn for the three parts, 8 : 1 : 1.

    Parameters
    ----------
    task
        Of layout ``alignment``; its `aliases` name the class of each species.
    folder
        With the MAF.
    seed
        Fixes which block is in which part, and which windows are taken.
    n_windows
        The most of each species to learn from, and a fifth of it in each held-out part, drawn
        by the seed; None: all.

    Raises
    ------
    InputError
        If a block has not just the species of the task, or none is as long as a window.
    """
    path = task_files(task, folder)["alignment"]
    length = task.length or 0
    blocks: list[list[list[str]]] = []  # of each block, of each window, a copy for each class
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
            f"{path} has {len(blocks)} blocks with a window of {length:,} bp in every species, and "
            f"three parts need three; the longest block has {longest:,} bp"
        )
    _log.info(
        "%s: %d blocks; %d too short for %d bp; %d windows with more N than a tenth",
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
    """Give the letters without gaps in the order of the classes."""
    letters = {task.aliases.get(row.species, row.species): row.letters for row in rows}
    if sorted(letters) != sorted(task.classes) or len(rows) != len(letters):
        raise InputError(
            f"{path}: a block has {', '.join(row.source for row in rows)}; {task.name} needs one "
            f"row of each of {', '.join(task.aliases)}"
        )
    return [letters[name].replace("-", "") for name in task.classes]
