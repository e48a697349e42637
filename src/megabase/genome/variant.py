"""Variant: one allele that replaces another at a place of the genome."""

from dataclasses import dataclass, replace

from megabase.errors import InputError
from megabase.genome.interval import Interval


@dataclass(frozen=True, order=True)
class Variant:
    """`alt` in place of `ref`.

    Parameters
    ----------
    contig
        Name of the sequence.
    position
        0-based position of the first letter of `ref`.
    ref, alt
        Alleles in capitals; either may be empty once trimmed, not both.
    """

    contig: str
    position: int
    ref: str
    alt: str

    def __post_init__(self) -> None:
        if self.position < 0 or self.ref == self.alt:
            raise InputError(f"a variant needs a position from 0 up and two alleles, got {self}")

    @property
    def end(self) -> int:
        """First position after `ref`."""
        return self.position + len(self.ref)

    def trimmed(self) -> "Variant":
        """Take away what both alleles share, first at the end, then at the start.

        Examples
        --------
        >>> Variant("chrI", 10, "CAG", "CG").trimmed()
        Variant(contig='chrI', position=11, ref='A', alt='')
        """
        ref, alt = self.ref, self.alt
        while ref and alt and ref[-1] == alt[-1]:
            ref, alt = ref[:-1], alt[:-1]
        shared = 0
        while shared < min(len(ref), len(alt)) and ref[shared] == alt[shared]:
            shared += 1
        return replace(self, position=self.position + shared, ref=ref[shared:], alt=alt[shared:])

    def apply(self, letters: str, window: Interval) -> str:
        """Put `alt` in place of `ref` in the letters of a window on the forward strand.

        Raises
        ------
        InputError
            If the window does not hold the variant, or its letters are not `ref` there.
        """
        if (
            self.contig != window.contig
            or not window.start <= self.position <= self.end <= window.end
        ):
            raise InputError(f"{self} does not lie within {window}")
        before, after = self.position - window.start, self.end - window.start
        found = letters[before:after].upper()
        if found != self.ref:
            raise InputError(f"{self} expects {self.ref!r}, the reference has {found!r} there")
        return letters[:before] + self.alt + letters[after:]
