"""The sequences of a request: all of a FASTA or FASTQ file, or the intervals of a BED file."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_inside
from megabase.genome.transcript import SplicedReference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.io.bed import BedRecord, is_bed, read_bed, read_spliced
from megabase.io.compression import file_format
from megabase.io.file_format import FASTA, FASTQ, TWOBIT
from megabase.io.gtf import is_gtf, read_transcripts
from megabase.io.sequence_file import SequenceFile, holds_sequences
from megabase.jobs.genome import open_genome
from megabase.run.location import genome_path

_log = logging.getLogger(__name__)


class Sequences:
    """The sequences of a request, in order, and the tokens of each.

    Parameters
    ----------
    records
        Interval and name of each sequence.
    letters
        Returns the letters of a sequence on its strand, by its index in `records`.
    """

    def __init__(self, records: Sequence[BedRecord], letters: Callable[[int], str]) -> None:
        self.records = records
        self._letters = letters
        self._n_ambiguous = 0

    def letters(self, number: int) -> str:
        """Return the letters of a sequence; if numbers ascend, the file is read only once."""
        return self._letters(number)

    def tokens(self, number: int) -> UInt8[np.ndarray, " length"]:
        """Return the tokens of a sequence, and count its ambiguous letters."""
        encoded = DNA_VOCABULARY.encode(self.letters(number), name=self.records[number].name)
        self._n_ambiguous += encoded.n_ambiguous
        return encoded.tokens

    def all_tokens(self) -> Iterator[UInt8[np.ndarray, " length"]]:
        """Yield the tokens of every sequence."""
        return map(self.tokens, range(len(self.records)))

    def tell_ambiguous(self) -> None:
        """Log how many letters were read as N, if any."""
        if self._n_ambiguous:
            _log.info("%s ambiguous letters were read as N", f"{self._n_ambiguous:,}")


def open_sequences(source: str, genome: str | None, *, splice: bool = False) -> Sequences:
    """Open the sequences of a request.

    Parameters
    ----------
    source
        FASTA, FASTQ or 2bit, of which every sequence with letters is used, also if names
        repeat; or BED, with `genome`.
    genome
        FASTA or 2bit genome of the intervals of a BED file.
    splice
        Whether the blocks of a BED12 file, or the exons of the transcripts of a GTF or GFF3 file,
        are joined to sequences without introns.

    Raises
    ------
    InputError
        If an input is invalid or empty.
    """
    path = genome_path(source)
    if splice:
        return _of_regions(*_open_spliced(path, genome))
    if is_gtf(path):
        raise InputError(
            f"{source} is a GTF or GFF3 file: --splice with --genome joins the exons of each "
            "transcript; for other features give a BED file"
        )
    found = "BED" if is_bed(path) and path.is_file() else file_format(path)
    if genome is not None:
        if found == TWOBIT or holds_sequences(path):
            raise InputError(f"--genome goes with a BED file; {source} has its own letters")
        return _of_regions(*open_regions(genome, path))
    if found == "BED":
        raise InputError(f"the intervals of {source} need their genome; give it by --genome")
    if found == TWOBIT or (path.suffix.lower() == ".2bit" and found not in (FASTA, FASTQ)):
        return _of_regions(*_contigs_of(open_genome(source)))
    return read_in_order(path)


def read_in_order(path: Path) -> Sequences:
    """Open the sequences of a FASTA or FASTQ file, which are read one after another.

    Raises
    ------
    InputError
        If the file cannot be read, or has no letters.
    """
    file = SequenceFile(path)
    numbers = [number for number, length in enumerate(file.lengths) if length]
    records = [
        BedRecord(Interval(file.names[number], 0, file.lengths[number]), file.names[number])
        for number in numbers
    ]
    if not records:
        raise InputError(f"{path} has no letters; a FASTA file has letters after each '>name'")
    if n_empty := len(file.lengths) - len(records):
        n_all = f"{len(file.lengths):,}"
        _log.warning(
            "%s of %s sequences of %s have no letters and are left out",
            f"{n_empty:,}", n_all, path,
        )  # fmt: skip
    return Sequences(records, lambda number: file.letters(numbers[number]))


def _contigs_of(reference: Reference) -> tuple[Reference, list[BedRecord]]:
    lengths = reference.lengths.items()
    return reference, [BedRecord(Interval(name, 0, n), name) for name, n in lengths if n]


def _of_regions(reference: Reference, records: Sequence[BedRecord]) -> Sequences:
    return Sequences(records, lambda number: reference.fetch(records[number].interval))


def _open_spliced(path: Path, genome: str | None) -> tuple[Reference, list[BedRecord]]:
    if not is_bed(path) and not is_gtf(path):
        raise InputError(f"--splice goes with BED12, GTF or GFF3; got {path}")
    if genome is None:
        raise InputError(f"the intervals of {path} need their genome; give it by --genome")
    transcripts = read_spliced(path) if is_bed(path) else read_transcripts(path)
    if not transcripts:
        raise InputError(f"{path} has no intervals; a line has contig, start and end")
    reference = SplicedReference(open_genome(genome), transcripts)
    _log.info(
        "%s: %s sequences, spliced from %s exons", path, f"{len(transcripts):,}",
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
        If either cannot be read, or an interval extends beyond its contig.
    """
    reference = open_genome(genome)
    records = read_bed(regions)
    for record in records:
        check_inside(record.interval, reference.lengths, reference.name)
    return reference, records


def check_lengths(records: Sequence[BedRecord], context_length: int, *, mend: str) -> None:
    """Raise an InputError if the longest sequence exceeds the context of the model.

    Parameters
    ----------
    records
        Interval and name of each sequence.
    context_length
        The most bases that the model reads.
    mend
        The remedy, appended to the message.
    """
    longest = max(records, key=lambda record: len(record.interval))
    if len(longest.interval) > context_length:
        raise InputError(
            f"{longest.name} has {len(longest.interval):,} bp, and the model reads at most "
            f"{context_length:,} at once; {mend}"
        )
