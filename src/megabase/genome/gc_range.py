"""GcRange: the allowed fraction of G and C."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from megabase.errors import InputError

_FORM = re.compile(r"\s*(\d*\.?\d+)\s*-\s*(\d*\.?\d+)\s*")


@dataclass(frozen=True)
class GcRange:
    """The fractions from `low` to `high`, both included.

    Both are exact fractions, so that 0.1 of 30 bases is exactly 3 bases.
    """

    low: Fraction
    high: Fraction

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(
                f"a GC range lies within 0-1, lower end first; got {self} (40 % is 0.4)"
            )

    @classmethod
    def from_text(cls, text: str) -> "GcRange":
        """Read a range written as LOW-HIGH.

        Raises
        ------
        InputError
            If the text has another form, or the range does not lie within 0-1.

        Examples
        --------
        >>> str(GcRange.from_text("0.4-0.6"))
        '0.4-0.6'
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise InputError(f"a GC range is LOW-HIGH, such as 0.4-0.6; got {text!r}")
        return cls(Fraction(match[1]), Fraction(match[2]))

    def __str__(self) -> str:
        return f"{float(self.low):g}-{float(self.high):g}"

    def counts(self, length: int) -> tuple[int, int]:
        """Return the least and the greatest number of G and C in `length` bases.

        The least is greater than the greatest if no number lies in the range.

        Examples
        --------
        >>> GcRange.from_text("0.1-0.5").counts(30)
        (3, 15)
        """
        return math.ceil(self.low * length), math.floor(self.high * length)
