"""The letters of a type of sequence, and their complements."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


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
            raise ValueError(f"each of {self.letters!r} needs its complement: {self.complements!r}")

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
