"""The genome, the sequences and the intervals of a request, record by record."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from megabase.data.memory_index import MemoryIndex, OwnPlaces
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, SplicedReference
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.scores import allele_tokens
from megabase.io.annotation import (
    BedRecord,
    is_bed,
    is_gtf,
    read_regions,
    read_spliced,
    read_transcripts,
)
from megabase.io.compression import FASTA, FASTQ, TWOBIT, file_format
from megabase.io.genome_file import open_reference
from megabase.io.sequence_file import SequenceFile, holds_sequences
from megabase.io.sequence_table import SequenceTable
from megabase.io.vcf import VcfFile, VcfRecord
from megabase.ops.memory import Gaps
from megabase.pipelines.variant_table import survey
from megabase.runtime.location import cache_folder, genome_path


def open_genome(name: str) -> Reference:
    """Open FASTA (plain, gzip or bgzip), 2bit, or ``asset:ecoli``.

    Parameters
    ----------
    name
        A path, or ``asset:NAME`` for a genome that ships with the package. Indexes and unpacked
        copies that cannot be written next to the file go into the cache.

    Raises
    ------
    InputError
        If the genome does not exist or cannot be read.
    """
    return open_reference(genome_path(name), cache=cache_folder())


_log = logging.getLogger(__name__)


class SequenceInput:
    """The sequences of a request, in order, and the tokens of each.

    Parameters
    ----------
    records
        Interval and name of each sequence.
    letters
        Returns the letters of a sequence on its strand, by its index in `records`.
    genome
        The genome of the intervals; None: each sequence is a contig of its own.
    """

    def __init__(
        self,
        records: Sequence[BedRecord],
        letters: Callable[[int], str],
        genome: Reference | None = None,
    ) -> None:
        self.records = records
        self._letters = letters
        self._genome = genome
        self._n_ambiguous = 0

    def letters(self, number: int) -> str:
        """Return the letters of a sequence; if numbers ascend, the file is read only once."""
        return self._letters(number)

    def tokens(self, number: int) -> UInt8[np.ndarray, " length"]:
        """Return the tokens of a sequence, and count its ambiguous letters."""
        encoded = DNA_VOCABULARY.encode(self.letters(number), name=self.records[number].name)
        self._n_ambiguous += encoded.n_ambiguous
        return encoded.tokens

    def gaps_in(self, index: MemoryIndex) -> Callable[[int, int, int], Gaps]:
        """Return a function of the number of a sequence, a start and an end, in its own direction.

        It returns where these letters are in the index.
        """
        if self._genome is not None:
            own_places = OwnPlaces.of_reference(index, self._genome)
            return lambda number, start, end: own_places(
                self.records[number].interval.part(start, end)
            )
        whole = lru_cache(maxsize=1)(partial(self._starts_in, index))
        return lambda number, start, end: [(at + start, at + end) for at in whole(number)]

    def _starts_in(self, index: MemoryIndex, number: int) -> list[int]:
        def pieces() -> Iterator[UInt8[np.ndarray, " length"]]:
            encoded = DNA_VOCABULARY.encode(self.letters(number), name=self.records[number].name)
            yield DNA_VOCABULARY.to_bases(encoded.tokens)

        same = index.same(len(self.records[number].interval), pieces)
        return [contig.start for contig in same]

    def log_ambiguous(self) -> None:
        """Log how many letters were read as N, if any."""
        if self._n_ambiguous:
            _log.info("%s ambiguous letters were read as N", f"{self._n_ambiguous:,}")


def open_sequences(source: str, genome: str | None, *, splice: bool = False) -> SequenceInput:
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


def read_in_order(path: Path) -> SequenceInput:
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
    return SequenceInput(records, lambda number: file.letters(numbers[number]))


def _contigs_of(reference: Reference) -> tuple[Reference, list[BedRecord]]:
    lengths = reference.lengths.items()
    return reference, [BedRecord(Interval(name, 0, n), name) for name, n in lengths if n]


def _of_regions(reference: Reference, records: Sequence[BedRecord]) -> SequenceInput:
    return SequenceInput(
        records, lambda number: reference.fetch(records[number].interval), reference
    )


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
    return reference, read_regions(regions, reference.lengths, reference.name)


def check_lengths(records: Sequence[BedRecord], context_length: int, *, remedy: str) -> None:
    """Raise an InputError if the longest sequence exceeds the context of the model.

    Parameters
    ----------
    records
        Interval and name of each sequence.
    context_length
        The most bases that the model reads.
    remedy
        The remedy, appended to the message.
    """
    longest = max(records, key=lambda record: len(record.interval))
    if len(longest.interval) > context_length:
        raise InputError(
            f"{longest.name} has {len(longest.interval):,} bp, and the model reads at most "
            f"{context_length:,} at once; {remedy}"
        )


_NAME = "name"
_LONGEST_NAMED, _LETTERS_NAMED = 40, 30  # letters of an allele in a name; those kept of a longer


class EmbeddingEntry(NamedTuple):
    """A named sequence: its tokens, or the reason why it has none."""

    name: str
    tokens: TokenArray | None
    skip_reason: str = ""
    gaps: Callable[[int, int], Gaps] | None = None
    """Returns where the bases from a start to an end are in an index; None: nowhere."""


class EntryRecord(NamedTuple):
    """A record of the input.

    Parameters
    ----------
    lengths
        Length of each entry in bp; an entry without tokens counts with the length of a window.
    read
        Reads the entries.
    """

    lengths: list[int]
    read: Callable[[], list[EmbeddingEntry]]


@runtime_checkable
class Entries(Protocol):
    """The records of an input, in order; they can be iterated repeatedly."""

    has_reasons: bool

    def records(self) -> Iterator[EntryRecord]:
        """Yield every record; `EntryRecord.read` reads the letters of its entries."""
        ...

    def tell(self) -> None:
        """Log what was noticed while reading."""
        ...


class SequenceEntries:
    """Sequences of a file or intervals of a BED file: an entry for each."""

    has_reasons = False

    def __init__(self, sequences: SequenceInput, index: MemoryIndex | None = None) -> None:
        self._sequences = sequences
        self._gaps = None if index is None else sequences.gaps_in(index)

    def records(self) -> Iterator[EntryRecord]:
        """Yield a record for each sequence or interval."""
        for number, record in enumerate(self._sequences.records):
            yield EntryRecord([len(record.interval)], partial(self._read, number))

    def _read(self, number: int) -> list[EmbeddingEntry]:
        name = self._sequences.records[number].name
        gaps = None if self._gaps is None else partial(self._gaps, number)
        return [EmbeddingEntry(name, self._sequences.tokens(number), gaps=gaps)]

    def tell(self) -> None:
        """Log how many letters were read as N."""
        self._sequences.log_ambiguous()


class TableEntries:
    """The sequences of a table: an entry for each row, named by its column ``name``.

    Without such a column the name is the number of the row, counted from 1.

    Parameters
    ----------
    table
        The table; it is read once to check it.
    longest
        The most bases that a row may have; None: no limit.

    Raises
    ------
    InputError
        If the table cannot be read, or a row has more bases.
    """

    has_reasons = False

    def __init__(self, table: SequenceTable, longest: int | None) -> None:
        self._table = table
        for number, record in enumerate(table.records(), start=1):
            n = len(record.tokens)
            if longest is not None and n > longest:
                raise InputError(
                    f"{table.path}, row {number:,} has {n:,} bp, and the model reads at most "
                    f"{longest:,} at once; --stride cuts it into windows (half the context is "
                    "usual)"
                )

    def records(self) -> Iterator[EntryRecord]:
        """Yield a record for each row."""
        for number, record in enumerate(self._table.records(tell=False), start=1):
            entry = EmbeddingEntry(record.row.get(_NAME, str(number)), record.tokens)
            yield EntryRecord([len(record.tokens)], partial(list, [entry]))

    def tell(self) -> None:
        """Log nothing: the table did when it was checked."""


class AlleleEntries:
    """Alleles of a VCF file: two entries for each alternative, the reference allele first.

    They are its two windows on the forward strand (`genome.variant.allele_windows`), named
    ``contig:POS:REF>ALT:ref`` and ``...:alt`` with the POS of the file.

    Parameters
    ----------
    vcf
        The file.
    reference
        The genome.
    contigs
        Names of contigs in the genome by their names in the file, where they differ.
    window
        Bases of a window.
    own_places
        Finds an interval of the genome in an index; None: there is no index.

    Raises
    ------
    InputError
        If the file has no alternative allele, or does not match the genome.
    """

    has_reasons = True

    def __init__(
        self,
        vcf: VcfFile,
        reference: Reference,
        contigs: Mapping[str, str],
        window: int,
        own_places: OwnPlaces | None = None,
    ) -> None:
        self._vcf, self._reference, self._contigs = vcf, reference, contigs
        self._window, self._own_places = window, own_places
        if not survey(vcf, reference, contigs, needs_order=False).n_alts:
            raise InputError(f"{vcf.name} has no alternative allele, so there is nothing to embed")

    def records(self) -> Iterator[EntryRecord]:
        """Yield a record for each record of the file."""
        for record in self._vcf.records():
            n = 2 * len(record.site(record.contig).alts)
            yield EntryRecord([self._window] * n, partial(self._read, record))

    def _gaps(self, place: Interval | None) -> Gaps:
        return () if place is None or self._own_places is None else self._own_places(place)

    def _read(self, record: VcfRecord) -> list[EmbeddingEntry]:
        site = record.site(self._contigs.get(record.contig, record.contig))
        found: list[EmbeddingEntry] = []
        for alt, each in zip(
            site.alts, allele_tokens(self._reference, site, self._window), strict=True
        ):
            change = f"{_shortened(site.ref)}>{_shortened(alt)}"
            name = f"{record.contig}:{record.columns[1]}:{change}"
            own = partial(_same, self._gaps(each.place))
            found.append(EmbeddingEntry(f"{name}:ref", each.ref, each.skip_reason, own))
            found.append(EmbeddingEntry(f"{name}:alt", each.alt, each.skip_reason, own))
        return found

    def tell(self) -> None:
        """Log nothing: each skipped entry has its reason in the output."""


def _same(gaps: Gaps, _start: int, _end: int) -> Gaps:
    """Return the gaps of both alleles, whatever part of a window is read: they do not differ."""
    return gaps


def _shortened(allele: str) -> str:
    """Write a long allele as its first letters and its length.

    Examples
    --------
    >>> _shortened("ACGT"), _shortened("ACGT" * 20)
    ('ACGT', 'ACGTACGTACGTACGTACGTACGTACGTAC...[80]')
    """
    if len(allele) <= _LONGEST_NAMED:
        return allele
    return f"{allele[:_LETTERS_NAMED]}...[{len(allele)}]"
