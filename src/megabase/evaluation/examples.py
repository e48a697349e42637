"""Rows of a task in memory, and a digest that does not depend on file order or compression."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

Label = int | float | UInt8[np.ndarray, " _"]
"""A class, counted from 0; a value; or a number for each label or each base."""


class Examples(NamedTuple):
    """Sequences of letters, and the label of each."""

    sequences: list[str]
    labels: list[Label]

    def __len__(self) -> int:
        return len(self.sequences)


def digest(examples: Examples, class_names: Sequence[str] = ()) -> str:
    """Return the SHA-256 of rows, independent of their order.

    It is the SHA-256 of the sorted SHA-256 digests of the rows. A row is the letters as they
    were read, a tab, and the label: the name of its class, the digits of each label or base, or
    the value with 8 significant digits.

    Parameters
    ----------
    examples
        The rows; duplicates count.
    class_names
        Names of the classes, if labels are classes.

    Examples
    --------
    >>> rows = Examples(["ACGT", "CC"], [0, 1])
    >>> turned = Examples(["CC", "ACGT"], [1, 0])
    >>> digest(rows, ["no", "yes"]) == digest(turned, ["no", "yes"])
    True
    """
    texts = zip(examples.sequences, _texts(examples.labels, class_names), strict=True)
    rows = sorted(
        hashlib.sha256(f"{letters}\t{label}".encode()).digest() for letters, label in texts
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def _texts(labels: Iterable[Label], class_names: Sequence[str]) -> Iterable[str]:
    for label in labels:
        if isinstance(label, np.ndarray):
            yield "".join(map(str, label.tolist()))
        elif isinstance(label, float):
            yield f"{label:.8g}"
        else:
            yield class_names[label] if class_names else str(label)


def draw_parts(n_units: int, seed: int) -> list[str]:
    """Draw the split of each unit, train : validation : test = 8 : 1 : 1.

    Parameters
    ----------
    n_units
        Number of units whose rows must stay together, such as genes or alignment blocks.
    seed
        Seed of the draw.

    Returns
    -------
    parts
        ``train``, ``validation`` or ``test`` for each unit; with three units or more, no split
        is empty.
    """
    n_held = max(1, n_units // 10)
    order = np.random.default_rng(seed).permutation(n_units)
    parts = ["train"] * n_units
    for place, unit in enumerate(order[: 2 * n_held]):
        parts[unit] = "test" if place < n_held else "validation"
    return parts


_HELD_OUT = 5  # training windows for each window of a held-out split


def windows_of(split: str, n_windows: int) -> int:
    """Return the number of windows of a split: `n_windows` for training, else a fifth of it."""
    return n_windows if split == "train" else max(1, n_windows // _HELD_OUT)


MOST_UNKNOWN = 0.1
"""The share of letters other than A, C, G and T above which a window is skipped."""


def is_known(letters: str) -> bool:
    """Return whether at most `MOST_UNKNOWN` of the letters are not A, C, G or T."""
    upper = letters.upper()
    return len(letters) - sum(map(upper.count, "ACGT")) <= MOST_UNKNOWN * len(letters)
