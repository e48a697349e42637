"""The letters of a kind of sequence, and the token of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8

from megabase.errors import InputError


@dataclass(frozen=True)
class Alphabet:
    """Letters, each with its complement.

    Parameters
    ----------
    name
        Name of the alphabet in messages, such as ``DNA``.
    bases
        The unambiguous letters.
    unknown
        The letter that stands for any base.
    ambiguous
        Letters that stand for several bases; they are read as `unknown`.
    complements
        The complement of each letter of ``bases + unknown + ambiguous``, in that order.

    Source
    ------
    The ambiguity codes and their complements: Cornish-Bowden 1985, "Nomenclature for
    incompletely specified bases in nucleic acid sequences", Nucleic Acids Research 13:3021.
    """

    name: str
    bases: str
    unknown: str
    ambiguous: str
    complements: str

    def __post_init__(self) -> None:
        if len(set(self.letters)) != len(self.letters) or self.letters != self.letters.upper():
            raise ValueError(f"letters must be distinct capitals, got {self.letters!r}")
        if sorted(self.complements) != sorted(self.letters):
            raise ValueError(
                f"each letter of {self.letters!r} needs its complement, one of these letters; got "
                f"{self.complements!r}"
            )

    @property
    def letters(self) -> str:
        """All letters: bases, then unknown, then ambiguous."""
        return self.bases + self.unknown + self.ambiguous

    @cached_property
    def _complement_table(self) -> Mapping[int, int]:
        """The table for `str.translate`; lower case stays lower case."""
        return str.maketrans(
            self.letters + self.letters.lower(), self.complements + self.complements.lower()
        )

    def reverse_complement(self, letters: str) -> str:
        """Return the other strand in its 5' to 3' direction; each letter keeps its case.

        Examples
        --------
        >>> DNA.reverse_complement("AACCg")
        'cGGTT'
        """
        return letters.translate(self._complement_table)[::-1]


DNA = Alphabet(
    name="DNA",
    bases="ACGT",
    unknown="N",
    ambiguous="RYSWKMBDHV",
    complements="TGCA" + "N" + "YRSWMKVHDB",
)

BASES_OF: Mapping[str, str] = {
    "A": "A", "C": "C", "G": "G", "T": "T", "N": "ACGT",
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
}  # fmt: skip
"""The bases that each letter of `DNA` stands for (Cornish-Bowden 1985; see `Alphabet`)."""


TokenArray = UInt8[np.ndarray, " _"]
"""The tokens of one sequence, of any length."""

_NO_TOKEN = 255  # in the table of bytes: not in the alphabet


class Encoded(NamedTuple):
    """Tokens, and the number of ambiguous letters, such as R or Y, among them."""

    tokens: UInt8[np.ndarray, " length"]
    n_ambiguous: int


@dataclass(frozen=True)
class Vocabulary:
    """All tokens of a model, in the order of their ids.

    Parameters
    ----------
    alphabet
        The letters that can be encoded; each base and the unknown letter have a token.
    tokens
        The text of each token; its index is its id.
    """

    alphabet: Alphabet
    tokens: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def id_of(self, token: str) -> int:
        """Return the id of a token from its text."""
        return self.tokens.index(token)

    @cached_property
    def base_ids(self) -> tuple[int, ...]:
        """The ids of the unambiguous letters, A C G T for DNA."""
        return tuple(self.id_of(base) for base in self.alphabet.bases)

    @cached_property
    def unknown_id(self) -> int:
        """The id of the letter for any base, N for DNA."""
        return self.id_of(self.alphabet.unknown)

    @cached_property
    def _token_of_byte(self) -> UInt8[np.ndarray, "256"]:
        table = np.full(256, _NO_TOKEN, dtype=np.uint8)
        for letter in self.alphabet.letters:
            token = letter if letter in self.tokens else self.alphabet.unknown
            table[[ord(letter), ord(letter.lower())]] = self.id_of(token)
        return table

    @cached_property
    def _is_ambiguous(self) -> np.ndarray:
        table = np.zeros(256, dtype=bool)
        for letter in self.alphabet.ambiguous:
            table[[ord(letter), ord(letter.lower())]] = True
        return table

    @cached_property
    def _complement_of_token(self) -> UInt8[np.ndarray, " token"]:
        table = np.arange(len(self), dtype=np.uint8)  # a special token is its own complement
        for letter in self.alphabet.bases:
            table[self.id_of(letter)] = self.id_of(self.alphabet.reverse_complement(letter))
        return table

    def encode(self, letters: str, *, name: str = "the sequence", start: int = 0) -> Encoded:
        """Return the token of each letter.

        Lower case counts as upper case. Ambiguity codes become the unknown letter,
        and are counted.

        Parameters
        ----------
        letters
            The letters to encode.
        name
            Name of the sequence in an error.
        start
            0-based position of the first letter in the sequence, for an error.

        Raises
        ------
        InputError
            If a character is not in the alphabet; the message names the first.

        Examples
        --------
        >>> DNA_VOCABULARY.encode("ACGTnR")
        Encoded(tokens=array([ 7,  8,  9, 10, 11, 11], dtype=uint8), n_ambiguous=1)
        """
        if not letters.isascii():
            position = next(i for i, letter in enumerate(letters) if not letter.isascii())
            raise self._no_letter(letters[position], start + position, name)
        text = np.frombuffer(letters.encode("ascii"), dtype=np.uint8)
        tokens = self._token_of_byte[text]
        if tokens.size and tokens.max() == _NO_TOKEN:
            position = int(np.argmax(tokens == _NO_TOKEN))
            raise self._no_letter(letters[position], start + position, name)
        return Encoded(tokens, int(np.count_nonzero(self._is_ambiguous[text])))

    def _no_letter(self, letter: str, position: int, name: str) -> InputError:
        return InputError(
            f"{letter!r} at position {position:,} (counted from 0) of {name} is not a "
            f"{self.alphabet.name} letter (expected {', '.join(self.alphabet.letters)}, in either "
            "case); correct or remove it"
        )

    def decode(self, tokens: UInt8[np.ndarray, " length"]) -> str:
        """Return the letters of tokens.

        Raises
        ------
        InputError
            If a token is a special token.

        Examples
        --------
        >>> DNA_VOCABULARY.decode(np.array([7, 8, 11], dtype=np.uint8))
        'ACN'
        """
        letters = {*self.base_ids, self.unknown_id}
        strange = sorted(set(np.unique(tokens).tolist()) - letters)
        if strange:
            raise InputError(
                f"only letters can be decoded (tokens {min(letters)} to {max(letters)}), "
                f"got token {strange[0]}; remove special tokens"
            )
        table = np.array([ord(token[0]) for token in self.tokens], dtype=np.uint8)
        return table[tokens].tobytes().decode("ascii")

    def reverse_complement(
        self, tokens: UInt8[np.ndarray, " length"]
    ) -> UInt8[np.ndarray, " length"]:
        """Return the tokens of the other strand in its 5' to 3' direction."""
        return self._complement_of_token[tokens[::-1]]

    def to_bases(self, tokens: Integer[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
        """Return 0, 1, 2, 3 for the bases A, C, G, T and 4 for any other token."""
        table = np.full(len(self) + 1, len(self.base_ids), dtype=np.uint8)
        table[list(self.base_ids)] = np.arange(len(self.base_ids))
        return table[np.minimum(tokens, len(self))]


# The ids of the released models: the tokenizer of Nguyen et al. 2023, arXiv:2306.15794v2.
DNA_VOCABULARY = Vocabulary(
    alphabet=DNA,
    tokens=(
        "[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]",
        "A", "C", "G", "T", "N",
    ),
)  # fmt: skip
