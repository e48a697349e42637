"""What a request chooses between: strands, poolings, memories, and quantities at a base."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Float32, UInt8

from megabase.errors import InputError
from megabase.genome.vocabulary import DNA, DNA_VOCABULARY, TokenArray
from megabase.model.architecture import POOLED

STRANDS = MappingProxyType({"average": ("+", "-"), "forward": ("+",)})
"""The strands to read for each option: the mean of both, or the forward strand alone."""

EMBEDDING_STRANDS = MappingProxyType({**STRANDS, "both": ("+", "-")})
"""The same for embeddings, with the option to concatenate the channels of both strands."""

BEFORE, WITHIN = "before", "window"
MEMORIES = (BEFORE, WITHIN)
"""What the memory of a model has read: the training regions and everything before each window on
its contig; or only the window itself."""


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


_WINDOW = "window"


@dataclass(frozen=True)
class Pooling:
    """How the hidden states of a sequence are pooled.

    Parameters
    ----------
    kind
        ``"mean"`` over all tokens; ``"max"`` of each channel over all tokens; ``"last"``, the
        token that is read last and has seen all others, which for the reverse strand is the
        first of the sequence; ``"centre"``, the token at position length // 2; ``"none"``, each
        token; or ``"window"``, the means of `width` consecutive positions, of which the last
        window may have fewer.
    width
        Base pairs of a window; 1 for ``"none"``, 0 for a pooling to one vector.
    """

    kind: str
    width: int = 0

    @classmethod
    def from_text(cls, text: str) -> "Pooling":
        """Read a pooling such as ``mean``, ``none`` or ``window:128``.

        Raises
        ------
        InputError
            If it is not a valid pooling.

        Examples
        --------
        >>> Pooling.from_text("window:128")
        Pooling(kind='window', width=128)
        """
        kind, _, width = text.partition(":")
        if text in POOLED:
            return cls(text)
        if text == "none":
            return cls(text, 1)
        if kind == _WINDOW and width.isdecimal() and int(width) > 0:
            return cls(kind, int(width))
        raise InputError(
            f"the pooling must be none, {', '.join(POOLED)}, or window:W for the means of W bp, "
            f"such as window:128; got {text!r}"
        )

    def __str__(self) -> str:
        return f"{self.kind}:{self.width}" if self.kind == _WINDOW else self.kind

    def n_rows(self, length: int) -> int:
        """Return the number of vectors for a sequence of this length in bp.

        Examples
        --------
        >>> Pooling.from_text("window:128").n_rows(300)
        3
        """
        return -(-length // self.width) if self.width else 1


MEAN = Pooling("mean")
"""The default pooling."""


def check_layer(layer: int | None, n_layer: int) -> int:
    """Return the number of a layer.

    Parameters
    ----------
    layer
        0 for the embedding, k for the output of block k; None: the last layer.
    n_layer
        Number of blocks of the model.

    Raises
    ------
    InputError
        If the model has no such layer.
    """
    if layer is None:
        return n_layer
    if not 0 <= layer <= n_layer:
        raise InputError(
            f"the layer must be from 0 (the embedding) to {n_layer} (the last of this model); "
            f"got {layer}"
        )
    return layer


QUANTITIES = ("surprisal", "entropy", "p_A", "p_C", "p_G", "p_T")
"""Quantities of a base: surprisal and entropy in bits, and the probability of each letter."""


def base_quantity(
    name: str,
    log_p: Float32[np.ndarray, "length base"],
    tokens: UInt8[np.ndarray, " length"],
) -> Float32[np.ndarray, " length"]:
    """Compute one of `QUANTITIES`.

    Surprisal is -log2 of the probability of the base in the sequence, NaN if that is N; entropy
    is the expected surprisal, at most 2 bits.

    Parameters
    ----------
    name
        One of `QUANTITIES`.
    log_p
        Natural logarithms of the probabilities of A, C, G, T.
    tokens
        Token ids of the sequence.

    Raises
    ------
    InputError
        If the quantity is unknown.
    """
    if name == "surprisal":
        index = np.clip(tokens.astype(np.int64) - DNA_VOCABULARY.base_ids[0], 0, 3)
        bits = -log_p[np.arange(len(tokens)), index] / np.float32(math.log(2))
        return np.where(np.isin(tokens, DNA_VOCABULARY.base_ids), bits, np.float32(np.nan))
    if name == "entropy":
        return -(np.exp(log_p) * log_p).sum(axis=1) / np.float32(math.log(2))
    if name in QUANTITIES:
        return np.exp(log_p[:, "ACGT".index(name[-1])])
    raise InputError(f"the quantity must be one of {', '.join(QUANTITIES)}; got {name!r}")


def reverse_strand_quantity(name: str) -> str:
    """Return the quantity of the reverse strand that corresponds to one of the forward strand.

    Examples
    --------
    >>> reverse_strand_quantity("p_A"), reverse_strand_quantity("entropy")
    ('p_T', 'entropy')
    """
    return f"p_{DNA.reverse_complement(name[-1])}" if name.startswith("p_") else name


def check_memory(memory: str | None) -> None:
    """Raise an InputError unless `memory` is one of `MEMORIES`, or None."""
    if memory not in (None, *MEMORIES):
        raise InputError(f"the memory must be {' or '.join(MEMORIES)}; got {memory!r}")
