"""Read exon-intron-exon triples with the logarithm of their read counts."""

import math
from pathlib import Path

from megabase.errors import InputError
from megabase.evaluation.examples import Examples, draw_parts
from megabase.evaluation.task_folder import task_files
from megabase.evaluation.tasks.task import Task
from megabase.io.compression import open_text


def read_triples(task: Task, folder: Path, *, seed: int) -> dict[str, Examples]:
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
    found = {split: Examples([], []) for split in ("train", "validation", "test")}
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
