"""Exon, intron and exon as one sequence, and the logarithm of the reads over it."""

import math
from pathlib import Path

from megabase.errors import InputError
from megabase.evaluation.examples import Examples, draw_parts
from megabase.evaluation.task_folder import task_files
from megabase.evaluation.tasks.task import Task
from megabase.io.compression import open_text


def read_triples(task: Task, folder: Path, *, seed: int) -> dict[str, Examples]:
    """Read triples, all of a gene into one part, 8 : 1 : 1 of the genes.

    Genes that have a triple in common, letter by letter, are drawn as one.

    Parameters
    ----------
    task
        Of layout ``splice_triples``.
    folder
        With the file: exon, intron, exon, count and gene between blanks, a triple a line.
    seed
        Fixes which gene is in which part.

    Returns
    -------
    splits
        Letters of the three in one, and the natural logarithm of the count.

    Raises
    ------
    InputError
        At the first line that is no triple, with its number, or if there are fewer than
        three genes.
    """
    path = task_files(task, folder)["triples"]
    triples = list(_read(path))
    family = _families(triples)
    families = sorted(set(family.values()))
    if len(families) < 3:
        raise InputError(
            f"{path} has {len(families)} genes without a triple in common, and three parts need "
            "three"
        )
    parts = dict(zip(families, draw_parts(len(families), seed), strict=True))
    found = {split: Examples([], []) for split in ("train", "validation", "test")}
    for letters, value, gene in triples:
        part = parts[family[gene]]
        found[part].sequences.append(letters)
        found[part].labels.append(value)
    return found


def _families(triples: list[tuple[str, float, str]]) -> dict[str, str]:
    """Give for each gene the first, by name, of those it is tied to by equal triples."""
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
                    f"{path}, line {number}: expected exon, intron, exon, a count from 1 on and a "
                    f"gene, got {line[:60].strip()!r}"
                )
            triples.append(("".join(fields[:3]), math.log(int(fields[3])), fields[4]))
    return triples
