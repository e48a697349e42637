"""Transcript: exons of one strand whose letters are joined without the introns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_inside, checked_on_strand


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
