"""Quantities at a base from the probabilities of A, C, G, T: surprisal, entropy, or one of them."""

import math

import numpy as np
from jaxtyping import Float32, UInt8

from megabase.errors import InputError
from megabase.genome.alphabet import DNA
from megabase.genome.vocabulary import DNA_VOCABULARY

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


def on_other_strand(name: str) -> str:
    """Return the quantity of the reverse strand that corresponds to one of the forward strand.

    Examples
    --------
    >>> on_other_strand("p_A"), on_other_strand("entropy")
    ('p_T', 'entropy')
    """
    return f"p_{DNA.reverse_complement(name[-1])}" if name.startswith("p_") else name
