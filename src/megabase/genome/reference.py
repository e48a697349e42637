"""The interface of a genome: contigs with lengths, and letters by interval."""

import difflib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from megabase.errors import InputError
from megabase.genome.alphabet import DNA
from megabase.genome.interval import Interval


@runtime_checkable
class Reference(Protocol):
    """A genome that returns the letters of an interval."""

    @property
    def name(self) -> str:
        """The name of the genome in messages, usually its path."""
        ...

    @property
    def lengths(self) -> Mapping[str, int]:
        """The length of each contig in base pairs, in the order of the file."""
        ...

    def fetch(self, interval: Interval) -> str:
        """Return the letters of `interval`, case unmodified; reverse complement on strand '-'.

        Raises
        ------
        InputError
            If the contig is unknown or the interval ends beyond it.
        """
        ...


class MemoryReference:
    """A genome held in memory, for tests and small tasks.

    Parameters
    ----------
    contigs
        The letters of each contig by its name.
    name
        The name of the genome in messages.
    """

    def __init__(self, contigs: Mapping[str, str], name: str = "the genome in memory") -> None:
        self._contigs = dict(contigs)
        self._name = name

    @property
    def name(self) -> str:
        """The name of the genome in messages."""
        return self._name

    @property
    def lengths(self) -> Mapping[str, int]:
        """The length of each contig in base pairs."""
        return {contig: len(letters) for contig, letters in self._contigs.items()}

    def fetch(self, interval: Interval) -> str:
        """Return the letters of `interval`; see `Reference.fetch`."""
        check_inside(interval, self.lengths, self.name)
        letters = self._contigs[interval.contig][interval.start : interval.end]
        return checked_on_strand(letters, interval, self._name)


_LETTERS = (DNA.letters + DNA.letters.lower()).encode()


def checked_on_strand(letters: str, interval: Interval, genome: str) -> str:
    """Validate the letters read for an interval, and return them on its strand.

    Parameters
    ----------
    letters
        Letters of the forward strand, as read from a file.
    interval
        The requested interval.
    genome
        Name of the genome in an error.

    Raises
    ------
    InputError
        If the number of letters is not that of positions, or a letter is not a DNA letter.
    """
    if len(letters) != len(interval):
        raise InputError(
            f"{interval} of {genome} has {len(interval):,} bp, but {len(letters):,} letters were "
            "read: the file is damaged or was changed while open; copy it again"
        )
    if strange := letters.encode(errors="replace").translate(None, _LETTERS):
        known = set(_LETTERS.decode())
        offset, letter = next(
            (place, letter) for place, letter in enumerate(letters) if letter not in known
        )
        raise InputError(
            f"{letter!r} at position {interval.start + offset:,} (counted from 0) of "
            f"{interval.contig} in {genome} is not a DNA letter (expected "
            f"{', '.join(DNA.letters)}, in either case; {len(strange):,} of {len(letters):,} "
            "letters are invalid); correct the file"
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
            f"{genome}; check that both are of the same assembly"
        )
