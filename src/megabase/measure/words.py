"""Words of bases as numbers: rolling codes, where they are whole, and those of the other strand."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt8

N_BASES = 4

Bases = UInt8[np.ndarray, " _"]
"""0, 1, 2, 3 for A, C, G, T, and 4 for anything else."""


def context_codes(bases: Bases, order: int) -> Int[np.ndarray, " length"]:
    """Number the `order` bases before each position, the nearest as the lowest digit."""
    codes = np.zeros(len(bases), dtype=np.int64)
    if order:
        codes[1:] = _codes_up_to(bases, order)[:-1]
    return codes


def _codes_up_to(bases: Bases, length: int) -> Int[np.ndarray, " length"]:
    """Number the so many bases that end at each position, by doubling what is numbered."""
    digits = np.minimum(bases, N_BASES - 1).astype(np.int64)
    codes, n_digits = digits, 1
    for bit in f"{length:b}"[1:]:
        codes, n_digits = _with_before(codes, codes, n_digits), 2 * n_digits
        if bit == "1":
            codes, n_digits = _with_before(digits, codes, 1), n_digits + 1
    return codes


def _with_before(
    codes: Int[np.ndarray, " length"], before: Int[np.ndarray, " length"], n_digits: int
) -> Int[np.ndarray, " length"]:
    """Put what ends so many digits earlier in front of codes of as many digits."""
    joined = codes.copy()
    joined[n_digits:] |= before[:-n_digits] << 2 * n_digits
    return joined


def known_before(bases: Bases, order: int) -> Int[np.ndarray, " length"]:
    """Count the bases before each position back to the start or an unknown one, up to `order`."""
    position = np.arange(len(bases) + 1)
    starts = np.where(np.append(4, bases) >= N_BASES, position, 0)  # just after an unknown base
    return np.minimum(position - np.maximum.accumulate(starts), order)[:-1]


def word_codes(
    bases: Bases, length: int
) -> tuple[Int[np.ndarray, " word"], Int[np.ndarray, " word"]]:
    """Number every word of so many known bases, and say at which position each ends.

    Parameters
    ----------
    bases
        A sequence; no word goes over what is none of A C G T.
    length
        Bases of a word, 1 to 31.

    Examples
    --------
    >>> codes, ends = word_codes(np.array([0, 1, 4, 3, 3], dtype=np.uint8), 2)
    >>> codes.tolist(), ends.tolist()
    ([1, 15], [1, 4])
    """
    order = length - 1
    is_whole: Bool[np.ndarray, " length"] = (known_before(bases, order) == order) & (
        bases < N_BASES
    )
    return _codes_up_to(bases, length)[is_whole], np.flatnonzero(is_whole)


def words_of_rows(
    sequences: Sequence[Bases], length: int
) -> tuple[Int[np.ndarray, " word"], Int[np.ndarray, " word"]]:
    """Number every word of every sequence as `word_codes`, and say of which sequence it is.

    Examples
    --------
    >>> codes, rows = words_of_rows([np.array([0, 1], dtype=np.uint8)] * 2, 2)
    >>> codes.tolist(), rows.tolist()
    ([1, 1], [0, 1])
    """
    joined = np.concatenate([piece for each in sequences for piece in (each, _UNKNOWN)])
    codes, ends = word_codes(joined, length)
    return codes, np.repeat(np.arange(len(sequences)), [len(each) + 1 for each in sequences])[ends]


def batches(sequences: Sequence[Bases], *, most_rows: int) -> Iterator[slice]:
    """Give the rows of all sequences in turn, so many and some 262,144 bases at a time."""
    start = n_bases = 0
    for row, sequence in enumerate(sequences):
        if row > start and (row - start == most_rows or n_bases + len(sequence) > _BASES_AT_ONCE):
            yield slice(start, row)
            start, n_bases = row, 0
        n_bases += len(sequence)
    if len(sequences):
        yield slice(start, len(sequences))


def other_strand(codes: Int[np.ndarray, " word"], length: int) -> Int[np.ndarray, " word"]:
    """Give the codes of the same words read on the other strand.

    Examples
    --------
    >>> other_strand(np.array([1]), 2)  # AC to GT
    array([11])
    """
    digits = ~codes.astype(np.uint64)  # a base and its complement sum to 3
    for width, low in ((2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F)):  # pairs, then halves
        mask, shift = np.uint64(low), np.uint64(width)
        digits = (digits >> shift & mask) | ((digits & mask) << shift)
    return (digits.byteswap() >> np.uint64(64 - 2 * length)).astype(np.int64)


def reverse_complement(bases: Bases) -> Bases:
    """Give the other strand, read in its own direction; what is unknown stays so."""
    return _COMPLEMENT[bases[::-1]]


_BASES_AT_ONCE = 1 << 18  # what the caches hold
_UNKNOWN = np.array([N_BASES], dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)
