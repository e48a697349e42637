"""Shuffle a sequence while keeping its dinucleotide counts."""

from itertools import pairwise

import numpy as np


def shuffle_dinucleotides(letters: str, rng: np.random.Generator) -> str:
    """Draw a sequence with the same first and last letter and the same dinucleotide counts.

    Each pair of adjacent letters is an edge of a graph whose vertices are the letters. Every
    Eulerian path through it has the same dinucleotide counts; one is drawn. Costs O(length).

    Parameters
    ----------
    letters
        The sequence.
    rng
        Source of the random draws.

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
    # the last edges lead to the end from everywhere, so the other edges may take any order
    for letter, last in _last_edges(followers, letters[-1], rng).items():
        followers[letter].remove(last)
        rng.shuffle(followers[letter])
        followers[letter].append(last)
    rng.shuffle(followers[letters[-1]])
    return _walk(letters[0], followers, len(letters))


def _last_edges(
    followers: dict[str, list[str]], end: str, rng: np.random.Generator
) -> dict[str, str]:
    """Draw, for each letter except the end, the edge by which the path leaves it last.

    The draw is repeated until these edges lead from every letter to the end.
    """
    while True:
        last = {a: str(rng.choice(after)) for a, after in followers.items() if a != end}
        if all(_reaches(letter, end, last) for letter in last):
            return last


def _reaches(letter: str, end: str, last: dict[str, str]) -> bool:
    """Return whether the last edges lead from `letter` to `end`."""
    for _ in last:
        if letter == end:
            return True
        letter = last[letter]
    return letter == end


def _walk(first: str, followers: dict[str, list[str]], length: int) -> str:
    """Return the path that takes the edges of each letter in order."""
    edges = {letter: iter(after) for letter, after in followers.items()}
    path = [first]
    while len(path) < length:
        path.append(next(edges[path[-1]]))
    return "".join(path)
