"""The entries to embed, record by record: sequences, intervals, or the windows of alleles."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

from megabase.data.sequence_table import SequenceTable
from megabase.errors import InputError
from megabase.genome.reference import Reference
from megabase.genome.vocabulary import TokenArray
from megabase.inference.variant_effect import allele_tokens
from megabase.io.vcf import VcfFile, VcfRecord
from megabase.jobs.sequences import Sequences
from megabase.jobs.vcf_survey import survey

_NAME = "name"
_LONGEST_NAMED, _LETTERS_NAMED = 40, 30  # letters of an allele in a name; those kept of a longer


class Entry(NamedTuple):
    """A named sequence: its tokens, or the reason why it has none."""

    name: str
    tokens: TokenArray | None
    skip_reason: str = ""


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
    read: Callable[[], list[Entry]]


@runtime_checkable
class Entries(Protocol):
    """The records of an input, in order; they can be iterated repeatedly."""

    has_reasons: bool

    def records(self) -> Iterator[EntryRecord]:
        """Yield every record; letters are read when its entries are read."""
        ...

    def tell(self) -> None:
        """Log what was noticed while reading."""
        ...


class SequenceEntries:
    """Sequences of a file or intervals of a BED file: an entry for each."""

    has_reasons = False

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def records(self) -> Iterator[EntryRecord]:
        """Yield a record for each sequence or interval."""
        for number, record in enumerate(self._sequences.records):
            yield EntryRecord([len(record.interval)], partial(self._read, number))

    def _read(self, number: int) -> list[Entry]:
        name = self._sequences.records[number].name
        return [Entry(name, self._sequences.tokens(number))]

    def tell(self) -> None:
        """Log how many letters were read as N."""
        self._sequences.tell_ambiguous()


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
            entry = Entry(record.row.get(_NAME, str(number)), record.tokens)
            yield EntryRecord([len(record.tokens)], partial(list, [entry]))

    def tell(self) -> None:
        """Log nothing: the table did when it was checked."""


class AlleleEntries:
    """Alleles of a VCF file: two entries for each alternative, the reference allele first.

    They are the two windows of `genome.variant_window` around it on the forward strand, named
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

    Raises
    ------
    InputError
        If the file has no alternative allele, or does not match the genome.
    """

    has_reasons = True

    def __init__(
        self, vcf: VcfFile, reference: Reference, contigs: Mapping[str, str], window: int
    ) -> None:
        self._vcf, self._reference, self._contigs = vcf, reference, contigs
        self._window = window
        if not survey(vcf, reference, contigs, needs_order=False).n_alts:
            raise InputError(f"{vcf.name} has no alternative allele, so there is nothing to embed")

    def records(self) -> Iterator[EntryRecord]:
        """Yield a record for each record of the file."""
        for record in self._vcf.records():
            n = 2 * len(record.site(record.contig).alts)
            yield EntryRecord([self._window] * n, partial(self._read, record))

    def _read(self, record: VcfRecord) -> list[Entry]:
        site = record.site(self._contigs.get(record.contig, record.contig))
        found: list[Entry] = []
        for alt, each in zip(
            site.alts, allele_tokens(self._reference, site, self._window), strict=True
        ):
            change = f"{_shortened(site.ref)}>{_shortened(alt)}"
            name = f"{record.contig}:{record.columns[1]}:{change}"
            found.append(Entry(f"{name}:ref", each.ref, each.skip_reason))
            found.append(Entry(f"{name}:alt", each.alt, each.skip_reason))
        return found

    def tell(self) -> None:
        """Log nothing: each skipped entry has its reason in the output."""


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
