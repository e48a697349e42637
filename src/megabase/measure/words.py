"""Words of bases as integer codes, with two bits for each base."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt8

N_BASES = 4

Bases = UInt8[np.ndarray, " _"]
"""0, 1, 2, 3 for A, C, G, T, and 4 for any other letter."""


def context_codes(bases: Bases, order: int) -> Int[np.ndarray, " length"]:
    """Return the code of the `order` bases before each position; the nearest is the lowest digit.

    Bases before the start count as A, and unknown bases as T; see `known_before`.
    """
    codes = np.zeros(len(bases), dtype=np.int64)
    if order:
        codes[1:] = _codes_up_to(bases, order)[:-1]
    return codes


def _codes_up_to(bases: Bases, length: int) -> Int[np.ndarray, " length"]:
    """Return the code of the `length` bases that end at each position.

    As in exponentiation by squaring, words are doubled and extended by one base along the bits
    of `length`.
    """
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
    """Join codes of `n_digits` digits with the codes `before` that end `n_digits` earlier."""
    joined = codes.copy()
    joined[n_digits:] |= before[:-n_digits] << 2 * n_digits
    return joined


def known_before(bases: Bases, order: int) -> Int[np.ndarray, " length"]:
    """Count the known bases directly before each position, up to `order`."""
    position = np.arange(len(bases) + 1)
    starts = np.where(np.append(4, bases) >= N_BASES, position, 0)  # just after an unknown base
    return np.minimum(position - np.maximum.accumulate(starts), order)[:-1]


def word_codes(
    bases: Bases, length: int
) -> tuple[Int[np.ndarray, " word"], Int[np.ndarray, " word"]]:
    """Return the code of every word of known bases, and the position at which each ends.

    Parameters
    ----------
    bases
        A sequence; words with an unknown base are left out.
    length
        Length of a word in bases, 1 to 31.

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
    """Return the code of every word of every sequence, and the index of its sequence.

    Parameters
    ----------
    sequences
        The sequences; words with an unknown base are left out.
    length
        Length of a word in bases, 1 to 31.

    Examples
    --------
    >>> codes, rows = words_of_rows([np.array([0, 1], dtype=np.uint8)] * 2, 2)
    >>> codes.tolist(), rows.tolist()
    ([1, 1], [0, 1])
    """
    # an unknown base between the sequences, so that no word spans two of them
    joined = np.concatenate([piece for each in sequences for piece in (each, _UNKNOWN)])
    codes, ends = word_codes(joined, length)
    return codes, np.repeat(np.arange(len(sequences)), [len(each) + 1 for each in sequences])[ends]


def batches(sequences: Sequence[Bases], *, most_rows: int) -> Iterator[slice]:
    """Yield slices of rows with at most `most_rows` rows and about 262,144 bases each.

    Parameters
    ----------
    sequences
        The sequences; a single longer one has a slice of its own.
    most_rows
        Greatest number of rows of a slice.
    """
    start = n_bases = 0
    for row, sequence in enumerate(sequences):
        if row > start and (row - start == most_rows or n_bases + len(sequence) > _BASES_AT_ONCE):
            yield slice(start, row)
            start, n_bases = row, 0
        n_bases += len(sequence)
    if len(sequences):
        yield slice(start, len(sequences))


def other_strand(codes: Int[np.ndarray, " word"], length: int) -> Int[np.ndarray, " word"]:
    """Return the codes of the reverse complements of words.

    Parameters
    ----------
    codes
        Codes of words, from `word_codes`.
    length
        Length of the words in bases, 1 to 31.

    Examples
    --------
    >>> other_strand(np.array([1]), 2)  # AC to GT
    array([11])
    """
    digits = ~codes.astype(np.uint64)  # a base and its complement sum to 3
    # Reverse the 32 digits of a code: swap digits in each half byte, half bytes in each byte,
    # then the bytes; the shift drops the digits beyond `length`.
    for width, low in ((2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F)):
        mask, shift = np.uint64(low), np.uint64(width)
        digits = (digits >> shift & mask) | ((digits & mask) << shift)
    return (digits.byteswap() >> np.uint64(64 - 2 * length)).astype(np.int64)


def reverse_complement(bases: Bases) -> Bases:
    """Return the other strand in its 5' to 3' direction; unknown bases stay unknown."""
    return _COMPLEMENT[bases[::-1]]


_BASES_AT_ONCE = 1 << 18  # small enough for the CPU caches
_UNKNOWN = np.array([N_BASES], dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)
