"""Draw windows from one genome for each class, split by chromosome."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from megabase.errors import InputError
from megabase.evaluation.examples import Examples, is_known, windows_of
from megabase.evaluation.task_folder import FORMATS
from megabase.evaluation.tasks.task import Task
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.split import hold_out_contigs, hold_out_tail
from megabase.io.genome_file import open_reference
from megabase.run.location import cache_folder

_TRIES = 100  # maximum number of draws for each window, because windows with many N are rejected


def read_genomes(
    task: Task, folder: Path, *, seed: int, n_windows: int = 200
) -> dict[str, Examples]:
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
    found = {split: Examples([], []) for split in ("train", "validation", "test")}
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
