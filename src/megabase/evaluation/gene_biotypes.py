"""Read genes with their biotypes from a genome and a table of genes."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from megabase.errors import InputError
from megabase.evaluation.base_labels import part_of, read_placed_rows
from megabase.evaluation.examples import Examples, is_known
from megabase.evaluation.task_folder import task_files
from megabase.evaluation.tasks.task import SPLITS, Task
from megabase.genome.reference import check_inside
from megabase.io.genome_file import open_reference
from megabase.run.location import cache_folder

_log = logging.getLogger(__name__)

MOST_BIOTYPES, FEWEST_GENES = 10, 20
"""Maximum number of biotypes, and minimum number of genes of each."""

_STRAND = "Strand"


def read_genes(task: Task, folder: Path) -> tuple[dict[str, Examples], tuple[str, ...]]:
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
    found = {split: Examples([], []) for split in SPLITS}
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
