"""What a genome is to the rest: contigs with lengths, and letters by interval."""

import difflib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from megabase.errors import InputError
from megabase.genome.alphabet import DNA
from megabase.genome.interval import Interval


@runtime_checkable
class Reference(Protocol):
    """A genome that can be asked for the letters of an interval."""

    @property
    def name(self) -> str:
        """What to call it in messages, usually its path."""
        ...

    @property
    def lengths(self) -> Mapping[str, int]:
        """The length of each contig in base pairs, in the order of the file."""
        ...

    def fetch(self, interval: Interval) -> str:
        """Give the letters of `interval` as they stand; reverse complement on strand '-'.

        Raises
        ------
        InputError
            If the contig is unknown or the interval ends beyond it.
        """
        ...


class MemoryReference:
    """A genome held in memory, for tests and small work."""

    def __init__(self, contigs: Mapping[str, str], name: str = "the genome in memory") -> None:
        self._contigs = dict(contigs)
        self._name = name

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self._name

    @property
    def lengths(self) -> Mapping[str, int]:
        """The length of each contig in base pairs."""
        return {contig: len(letters) for contig, letters in self._contigs.items()}

    def fetch(self, interval: Interval) -> str:
        """Give the letters of `interval`, as `Reference.fetch`."""
        check_inside(interval, self.lengths, self.name)
        letters = self._contigs[interval.contig][interval.start : interval.end]
        return checked_on_strand(letters, interval, self._name)


_LETTERS = (DNA.letters + DNA.letters.lower()).encode()


def checked_on_strand(letters: str, interval: Interval, genome: str) -> str:
    """Compare what was read with what was requested, and turn it to the strand of `interval`.

    Parameters
    ----------
    letters
        Of the forward strand, as a file has them.
    interval
        What was requested.
    genome
        What to call the genome in an error.

    Raises
    ------
    InputError
        If there are fewer or more letters than positions, or one is no letter of DNA.
    """
    if len(letters) != len(interval):
        raise InputError(
            f"{interval} of {genome} has {len(interval):,} bp, and {len(letters):,} letters were "
            "read: the file is damaged, or changed while it was open; copy it again"
        )
    if strange := letters.encode(errors="replace").translate(None, _LETTERS):
        known = set(_LETTERS.decode())
        offset, letter = next(
            (place, letter) for place, letter in enumerate(letters) if letter not in known
        )
        raise InputError(
            f"{letter!r} at position {interval.start + offset:,} (counted from 0) of "
            f"{interval.contig} in {genome} is no letter of DNA (expected "
            f"{', '.join(DNA.letters)}, in either case; {len(strange):,} of {len(letters):,} are "
            "not); correct it"
        )
    return letters if interval.strand == "+" else DNA.reverse_complement(letters)


def check_contig(contig: str, lengths: Mapping[str, int], genome: str) -> None:
    """Raise an InputError that names the nearest contigs if `contig` is not in the genome."""
    if contig in lengths:
        return
    names = list(lengths)
    other_style = contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
    near = [other_style] if other_style in lengths else difflib.get_close_matches(contig, names)
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise InputError(f"contig {contig!r} is not in {genome} (it has {len(names)}: {listed}){hint}")


def check_inside(interval: Interval, lengths: Mapping[str, int], genome: str) -> None:
    """Raise an InputError unless the genome holds the whole of `interval`."""
    check_contig(interval.contig, lengths, genome)
    if interval.end > lengths[interval.contig]:
        raise InputError(
            f"{interval} ends beyond its contig, which has {lengths[interval.contig]:,} bp in "
            f"{genome}; is it of another assembly?"
        )
