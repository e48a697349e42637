"""What a genome is to the rest: contigs with lengths, and letters by interval or transcript."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA


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


class Transcript(NamedTuple):
    """A name and exons of one contig and strand, in the order of the forward strand."""

    name: str
    exons: tuple[Interval, ...]

    @classmethod
    def of(cls, name: str, exons: Iterable[Interval]) -> "Transcript":
        """Return the transcript of exons given in any order.

        Raises
        ------
        InputError
            If the exons overlap, or are not on one contig and strand.
        """
        ordered = sorted(exons)
        places = sorted({(exon.contig, exon.strand) for exon in ordered})
        if len(places) > 1:
            listed = ", ".join(f"{contig} ({strand})" for contig, strand in places)
            raise InputError(
                f"the exons of {name!r} are on {listed}; expected one contig and strand: use "
                "one name per contig and strand"
            )
        for before, after in pairwise(ordered):
            if before.overlaps(after):
                raise InputError(f"the exons {before} and {after} of {name!r} overlap")
        return cls(name, tuple(ordered))


class SplicedReference:
    """A genome whose contigs are transcripts: their letters without introns, on their strand.

    Parameters
    ----------
    reference
        The genome.
    transcripts
        The transcripts; their names may repeat.

    Attributes
    ----------
    contigs
        The contig of each transcript: its name, ``#`` and its number from 1.

    Raises
    ------
    InputError
        If an exon is not in the genome.
    """

    def __init__(self, reference: Reference, transcripts: Sequence[Transcript]) -> None:
        self._reference = reference
        self.contigs = [f"{each.name}#{n}" for n, each in enumerate(transcripts, start=1)]
        self._exons = {
            contig: each.exons for contig, each in zip(self.contigs, transcripts, strict=True)
        }
        self._lengths = {contig: sum(map(len, exons)) for contig, exons in self._exons.items()}
        genome_lengths = reference.lengths
        for transcript in transcripts:
            for exon in transcript.exons:
                try:
                    check_inside(exon, genome_lengths, reference.name)
                except InputError as error:
                    raise InputError(f"{transcript.name!r}: {error}") from error

    @property
    def genome(self) -> Reference:
        """The genome."""
        return self._reference

    def exons(self, contig: str) -> Sequence[Interval]:
        """Return the exons of a transcript on the genome."""
        return self._exons[contig]

    @property
    def name(self) -> str:
        """The genome's name."""
        return self._reference.name

    @property
    def lengths(self) -> Mapping[str, int]:
        """The length of each transcript in bp, without introns."""
        return self._lengths

    def fetch(self, interval: Interval) -> str:
        """Return letters of a transcript; positions count from its 5' end."""
        check_inside(interval, self._lengths, self.name)
        exons = self._exons[interval.contig]
        forward = "".join(self._reference.fetch(replace(exon, strand="+")) for exon in exons)
        whole = Interval(interval.contig, 0, self._lengths[interval.contig], exons[0].strand)
        letters = checked_on_strand(forward, whole, self.name)
        return checked_on_strand(letters[interval.start : interval.end], interval, self.name)
