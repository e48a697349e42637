"""Rows of a task in memory, and a digest of them that file order and compression leave alone."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

Label = int | float | UInt8[np.ndarray, " _"]
"""The number of a class; a value; or a number for each label or each base."""


class Examples(NamedTuple):
    """Sequences and what is to be told of each."""

    sequences: list[str]
    labels: list[Label]

    def __len__(self) -> int:
        return len(self.sequences)


def digest(examples: Examples, class_names: Sequence[str] = ()) -> str:
    """Give the SHA-256 of rows, whatever their order.

    It is the SHA-256 of the sorted SHA-256 of each row: the letters as they were read, a
    tab, and the label: the name of its class, the digits of each label or base, or the value
    with 8 significant digits.

    Parameters
    ----------
    examples
        The rows; one that stands twice counts twice.
    class_names
        Where labels are numbers of classes.

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
    """Draw for each unit the part that all its rows belong to: 8 of 10 train, 1 and 1 held out.

    Parameters
    ----------
    n_units
        Genes, alignment blocks, or what else must not stand on both sides.
    seed
        Fixes the draw.

    Returns
    -------
    parts
        ``train``, ``validation`` or ``test``; of three units or more each part has one.
    """
    n_held = max(1, n_units // 10)
    order = np.random.default_rng(seed).permutation(n_units)
    parts = ["train"] * n_units
    for place, unit in enumerate(order[: 2 * n_held]):
        parts[unit] = "test" if place < n_held else "validation"
    return parts


_HELD_OUT = 5  # of windows that are drawn: one of a held-out part for so many of training


def windows_of(split: str, n_windows: int) -> int:
    """Give how many windows a part has, where there are so many to learn from: a fifth, or all."""
    return n_windows if split == "train" else max(1, n_windows // _HELD_OUT)


MOST_UNKNOWN = 0.1
"""The share of letters other than A, C, G and T above which a window is passed over."""


def is_known(letters: str) -> bool:
    """Whether a window has few enough letters that are no base."""
    upper = letters.upper()
    return len(letters) - sum(map(upper.count, "ACGT")) <= MOST_UNKNOWN * len(letters)
