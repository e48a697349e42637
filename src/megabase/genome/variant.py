"""Variant: one allele that replaces another at a position of the genome."""

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
        Alleles in capitals; either may be empty after trimming, but not both.
    """

    contig: str
    position: int
    ref: str
    alt: str

    def __post_init__(self) -> None:
        if self.position < 0 or self.ref == self.alt:
            raise InputError(
                f"a variant needs a position of at least 0 and two different alleles, got {self}"
            )

    @property
    def end(self) -> int:
        """First position after `ref`."""
        return self.position + len(self.ref)

    def trimmed(self) -> "Variant":
        """Return the variant without the letters both alleles share, at the end and the start.

        The end is trimmed first.

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
        """Return the letters of a window with `alt` in place of `ref`.

        Parameters
        ----------
        letters
            Letters of `window` on the forward strand.
        window
            The interval of these letters.

        Raises
        ------
        InputError
            If the variant does not lie within the window, or the letters there are not `ref`.
        """
        if (
            self.contig != window.contig
            or not window.start <= self.position <= self.end <= window.end
        ):
            raise InputError(f"{self} does not lie within {window}")
        before, after = self.position - window.start, self.end - window.start
        found = letters[before:after].upper()
        if found != self.ref:
            raise InputError(f"{self} expects {self.ref!r}, but the reference has {found!r} there")
        return letters[:before] + self.alt + letters[after:]
