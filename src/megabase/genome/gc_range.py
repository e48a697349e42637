"""GcRange: what fraction of bases may be G or C."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from megabase.errors import InputError

_FORM = re.compile(r"\s*(\d*\.?\d+)\s*-\s*(\d*\.?\d+)\s*")


@dataclass(frozen=True)
class GcRange:
    """The fractions from `low` to `high`, both included.

    They are kept as exact fractions, so that 0.1 of 30 bases is 3 bases.
    """

    low: Fraction
    high: Fraction

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(
                f"a range of GC lies within 0-1, the lower end first; got {self}, and 40 % is 0.4"
            )

    @classmethod
    def from_text(cls, text: str) -> "GcRange":
        """Read what people write.

        Examples
        --------
        >>> str(GcRange.from_text("0.4-0.6"))
        '0.4-0.6'
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise InputError(f"a range of GC is LOW-HIGH, as 0.4-0.6; got {text!r}")
        return cls(Fraction(match[1]), Fraction(match[2]))

    def __str__(self) -> str:
        return f"{float(self.low):g}-{float(self.high):g}"

    def counts(self, length: int) -> tuple[int, int]:
        """Give the least and the most G and C of so many bases; least > most if there are none.

        Examples
        --------
        >>> GcRange.from_text("0.1-0.5").counts(30)
        (3, 15)
        """
        return math.ceil(self.low * length), math.floor(self.high * length)
