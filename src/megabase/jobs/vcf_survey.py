"""What stands in a VCF file, and whether it is of this genome, before any work is done."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from megabase.errors import InputError
from megabase.genome.alphabet import DNA
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference, check_contig, check_inside
from megabase.genome.site import Site
from megabase.inference.variant_effect import has_reference_allele
from megabase.io.vcf import VcfFile, VcfRecord

_N_COMPARED = 1000


class Survey(NamedTuple):
    """How much work a file is.

    Parameters
    ----------
    n_records, n_alts
        Records, and alternative alleles of all of them.
    n_bare
        Records without an alternative allele.
    contigs
        Contigs that records are on, by their names in the file, with their lengths.
    """

    n_records: int
    n_alts: int
    n_bare: int
    contigs: Mapping[str, int]


def survey(
    vcf: VcfFile, reference: Reference, contigs: Mapping[str, str], *, needs_order: bool
) -> Survey:
    """Read a file once, and refuse what would fail later.

    Parameters
    ----------
    vcf
        The file.
    reference
        The genome.
    contigs
        Names of contigs in the file that the genome calls otherwise.
    needs_order
        Whether the records must be sorted, for an index.

    Raises
    ------
    InputError
        If a contig is not in the genome, a record lies beyond its contig, more than half
        of the first 1,000 reference alleles are not those of the genome, or the records
        must be sorted and are not.
    """
    n_records = n_alts = n_bare = n_compared = n_other = 0
    found: dict[str, int] = {}
    records = vcf.records()
    in_order = _in_order(records, vcf.name) if needs_order else records
    for site in _checked(in_order, vcf.name, reference, contigs, found):
        n_records += 1
        n_alts += len(site.alts)
        n_bare += not site.alts
        if n_compared < _N_COMPARED and set(site.ref.upper()) <= set(DNA.bases):
            n_compared += 1
            n_other += not has_reference_allele(reference, site)
            if n_compared == _N_COMPARED:
                _check_assembly(vcf, reference, n_other, n_compared)
    _check_assembly(vcf, reference, n_other, n_compared)
    return Survey(n_records, n_alts, n_bare, found)


def _checked(
    records: Iterable[VcfRecord],
    vcf: str,
    reference: Reference,
    contigs: Mapping[str, str],
    found: dict[str, int],
) -> Iterator[Site]:
    """Give each site on the genome's contig, once it is known to lie there; note the contig."""
    lengths, name = reference.lengths, reference.name
    for record in records:
        site = record.site(contigs.get(record.contig, record.contig))
        if site.contig not in lengths:
            _refuse_contig(record.contig, site.contig, reference, vcf)
        try:
            place = Interval(site.contig, site.position, site.position + len(site.ref))
            check_inside(place, lengths, name)
        except InputError as error:
            where = f"{vcf}, {record.contig}:{site.position + 1}"
            raise InputError(f"{where}: {error}") from error
        found[record.contig] = lengths[site.contig]
        yield site


def _refuse_contig(found: str, contig: str, reference: Reference, vcf: str) -> None:
    try:
        check_contig(contig, reference.lengths, reference.name)
    except InputError as error:
        raise InputError(
            f"contig {found!r} of {vcf}: {error}; --chrom-map FILE says which is which, a line "
            f"for each: the name in the VCF file, the name in the genome"
        ) from error


def _in_order(records: Iterable[VcfRecord], name: str) -> Iterator[VcfRecord]:
    """Pass records on while each contig of the file is one block where positions do not fall."""
    ended: set[str] = set()
    before: VcfRecord | None = None
    for record in records:
        if before is not None and record.contig != before.contig:
            ended.add(before.contig)
        elif before is not None and record.position < before.position:
            raise _unsorted(record, name)
        if record.contig in ended:
            raise _unsorted(record, name)
        before = record
        yield record


def _unsorted(record: VcfRecord, name: str) -> InputError:
    return InputError(
        f"{name} is not sorted: {record.contig}:{record.position + 1} stands after what should "
        "follow it, and .vcf.gz and .bcf have an index; sort it (bcftools sort), or write .vcf, "
        ".tsv or .parquet"
    )


def _check_assembly(vcf: VcfFile, reference: Reference, n_other: int, n_compared: int) -> None:
    if 2 * n_other > n_compared:
        raise InputError(
            f"{n_other:,} of the first {n_compared:,} reference alleles of {vcf.name} are not the "
            f"letters of {reference.name}; is the genome of another assembly?"
        )
