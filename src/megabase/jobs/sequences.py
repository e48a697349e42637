"""The sequences of a request: all of a FASTA file, or the intervals of a BED file."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_inside
from megabase.genome.transcript import SplicedReference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.bed import SUFFIXES, BedRecord, read_bed, read_spliced
from megabase.io.gtf import is_gtf, read_transcripts
from megabase.jobs.genome import open_genome
from megabase.run.location import genome_path

_log = logging.getLogger(__name__)


def open_sequences(
    source: str, genome: str | None, *, splice: bool = False
) -> tuple[Reference, list[BedRecord]]:
    """Open the letters of a request, and say which of them are meant.

    Parameters
    ----------
    source
        FASTA or 2bit, of which every contig with letters is meant; or BED, with `genome`.
    genome
        FASTA or 2bit that the intervals of a BED file are of.
    splice
        Whether the blocks of a BED12 file, or the exons of the transcripts of a GTF or GFF3 file,
        are joined to sequences without introns.

    Raises
    ------
    InputError
        If an input cannot be used, or holds nothing.
    """
    path = genome_path(source)
    if splice:
        return _open_spliced(path, genome)
    if is_gtf(path):
        raise InputError(
            f"{source} has genes and their parts, GTF or GFF3: --splice with --genome joins the "
            "exons of each transcript; for other parts of it give a BED file"
        )
    if path.name.endswith(SUFFIXES):
        if genome is None:
            raise InputError(f"the intervals of {source} need the genome they are of: --genome")
        return open_regions(genome, path)
    if genome is not None:
        raise InputError(f"--genome goes with a BED file; {source} has its own letters")
    reference = open_genome(source)
    contigs = reference.lengths.items()
    records = [BedRecord(Interval(name, 0, n), name) for name, n in contigs if n]
    if not records:
        raise InputError(f"{source} holds no letter; a FASTA file has some after each '>name'")
    return reference, records


def _open_spliced(path: Path, genome: str | None) -> tuple[Reference, list[BedRecord]]:
    is_bed = path.name.endswith(SUFFIXES)
    if not is_bed and not is_gtf(path):
        raise InputError(f"--splice goes with BED12, GTF or GFF3; got {path}")
    if genome is None:
        raise InputError(f"the intervals of {path} need the genome they are of: --genome")
    transcripts = read_spliced(path) if is_bed else read_transcripts(path)
    if not transcripts:
        raise InputError(f"{path} holds no interval; a line is contig, start, end")
    reference = SplicedReference(open_genome(genome), transcripts)
    _log.info(
        "%s: %s sequences, spliced of %s exons", path, f"{len(transcripts):,}",
        f"{sum(len(each.exons) for each in transcripts):,}",
    )  # fmt: skip
    places = zip(reference.contigs, transcripts, strict=True)
    return reference, [
        BedRecord(Interval(contig, 0, reference.lengths[contig]), each.name)
        for contig, each in places
    ]


def open_regions(genome: str, regions: Path) -> tuple[Reference, list[BedRecord]]:
    """Open a genome, and read the intervals of a BED file.

    Raises
    ------
    InputError
        If either cannot be read, or an interval lies beyond its contig.
    """
    reference = open_genome(genome)
    records = read_bed(regions)
    for record in records:
        check_inside(record.interval, reference.lengths, reference.name)
    return reference, records


def check_lengths(records: Sequence[BedRecord], context_length: int, *, mend: str) -> None:
    """Raise an InputError with its mend if the model cannot read a record at once."""
    longest = max(records, key=lambda record: len(record.interval))
    if len(longest.interval) > context_length:
        raise InputError(
            f"{longest.name} has {len(longest.interval):,} bp, and the model reads at most "
            f"{context_length:,} at once; {mend}"
        )


class Letters:
    """Reads and encodes records, and counts the ambiguous letters on the way."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._n_ambiguous = 0

    def tokens(self, record: BedRecord) -> UInt8[np.ndarray, " length"]:
        """Give the tokens of a record, on its strand."""
        letters = self._reference.fetch(record.interval)
        encoded = DNA_VOCABULARY.encode(letters, name=record.name)
        self._n_ambiguous += encoded.n_ambiguous
        return encoded.tokens

    def tell_ambiguous(self) -> None:
        """Say in the log how many letters were read as N, if any."""
        if self._n_ambiguous:
            _log.info("%s ambiguous letters were read as N", f"{self._n_ambiguous:,}")
