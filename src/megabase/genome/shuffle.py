"""Shuffle a sequence and keep how often each letter follows each other."""

from itertools import pairwise

import numpy as np


def shuffle_dinucleotides(letters: str, rng: np.random.Generator) -> str:
    """Draw a sequence with the same first and last letter and the same dinucleotides.

    The letters are edges of a graph from each letter to the next; every Eulerian path
    through it has the same dinucleotides, and one is drawn. Costs O(length).

    Parameters
    ----------
    letters
        The sequence.
    rng
        Fixes the draw.

    Source
    ------
    Altschul & Erickson 1985, "Significance of nucleotide sequence alignments",
    Molecular Biology and Evolution 2:526.

    Examples
    --------
    >>> shuffle_dinucleotides("ACAGATACCA", np.random.default_rng(1))
    'ACCACATAGA'
    """
    if len(letters) < 3:
        return letters
    followers = {letter: [] for letter in letters}
    for letter, following in pairwise(letters):
        followers[letter].append(following)
    for letter, last in _last_edges(followers, letters[-1], rng).items():
        followers[letter].remove(last)
        rng.shuffle(followers[letter])
        followers[letter].append(last)
    rng.shuffle(followers[letters[-1]])
    return _walk(letters[0], followers, len(letters))


def _last_edges(
    followers: dict[str, list[str]], end: str, rng: np.random.Generator
) -> dict[str, str]:
    """Draw, for each letter but the end, the edge by which the path leaves it for good.

    The draw is repeated until these edges lead from every letter to the end.
    """
    while True:
        last = {a: str(rng.choice(after)) for a, after in followers.items() if a != end}
        if all(_reaches(letter, end, last) for letter in last):
            return last


def _reaches(letter: str, end: str, last: dict[str, str]) -> bool:
    """Whether following the last edges from `letter` comes to `end`."""
    for _ in last:
        if letter == end:
            return True
        letter = last[letter]
    return letter == end


def _walk(first: str, followers: dict[str, list[str]], length: int) -> str:
    """Follow the edges of each letter in their order."""
    edges = {letter: iter(after) for letter, after in followers.items()}
    path = [first]
    while len(path) < length:
        path.append(next(edges[path[-1]]))
    return "".join(path)
