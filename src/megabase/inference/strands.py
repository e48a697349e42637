"""Which strands an answer is of, and the mean of both."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray

STRANDS = MappingProxyType({"average": ("+", "-"), "forward": ("+",)})
"""The strands that are read, by what is asked for: the mean of both, or the forward one alone."""

EMBEDDING_STRANDS = MappingProxyType({**STRANDS, "both": ("+", "-")})
"""The same of embeddings, which can also stand side by side."""


def strands_of(name: str, among: Mapping[str, tuple[str, ...]] = STRANDS) -> tuple[str, ...]:
    """Give the strands that a name stands for; an InputError if it is none of those."""
    if name not in among:
        raise InputError(f"a strand is one of {', '.join(among)}; got {name!r}")
    return among[name]


def read_strands(sequences: Iterable[TokenArray], strands: tuple[str, ...]) -> Iterator[TokenArray]:
    """Give of each sequence the strands in turn, each in its own direction."""
    for tokens in sequences:
        for strand in strands:
            yield tokens if strand == "+" else DNA_VOCABULARY.reverse_complement(tokens)


def join_strands(
    values: Iterable[Float[np.ndarray, "..."]], strands: tuple[str, ...]
) -> Iterator[Float[np.ndarray, "..."]]:
    """Average what `read_strands` was answered, base by base, in the order of the sequence.

    An answer has a row, of one number or several, for each base.

    Examples
    --------
    >>> plus, minus = np.float32([1.0, 2.0]), np.float32([4.0, 5.0])
    >>> [each.tolist() for each in join_strands([plus, minus], ("+", "-"))]
    [[3.0, 3.0]]
    """
    pending = iter(values)
    for of_first in pending:
        if len(strands) == 1:
            yield of_first
        else:
            yield (of_first + next(pending)[::-1]) / np.float32(2)
