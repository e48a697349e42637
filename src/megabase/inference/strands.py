"""The strands that are read, and the mean of the results for both."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray

STRANDS = MappingProxyType({"average": ("+", "-"), "forward": ("+",)})
"""The strands to read for each option: the mean of both, or the forward strand alone."""

EMBEDDING_STRANDS = MappingProxyType({**STRANDS, "both": ("+", "-")})
"""The same for embeddings, with the option to concatenate the channels of both strands."""


def strands_of(name: str, among: Mapping[str, tuple[str, ...]] = STRANDS) -> tuple[str, ...]:
    """Return the strands to read for an option.

    Parameters
    ----------
    name
        A key of `among`.
    among
        `STRANDS` or `EMBEDDING_STRANDS`.

    Raises
    ------
    InputError
        If the option is unknown.
    """
    if name not in among:
        raise InputError(f"the strand must be one of {', '.join(among)}; got {name!r}")
    return among[name]


def read_strands(sequences: Iterable[TokenArray], strands: tuple[str, ...]) -> Iterator[TokenArray]:
    """Yield the strands of each sequence in turn, each in its own direction.

    Parameters
    ----------
    sequences
        Token ids of the forward strand of each sequence.
    strands
        ``("+",)``, or ``("+", "-")``.
    """
    for tokens in sequences:
        for strand in strands:
            yield tokens if strand == "+" else DNA_VOCABULARY.reverse_complement(tokens)


def join_strands(
    values: Iterable[Float[np.ndarray, "..."]], strands: tuple[str, ...]
) -> Iterator[Float[np.ndarray, "..."]]:
    """Average the results for the strands of `read_strands`, base by base.

    Parameters
    ----------
    values
        Results in the order of `read_strands`; each has one number or one row per base.
    strands
        The same strands.

    Yields
    ------
    values
        The mean over strands, in the order of the forward strand.

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
