"""BCF, which needs every name in its header, from the text of a VCF file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools

from megabase.errors import InputError, WorkError
from megabase.io.vcf import VcfFile, VcfRecord, check_written_whole, work_errors

_DECLARED = re.compile(r"##(INFO|FILTER|FORMAT|contig)=<(?:.*,)?ID=([^,>]+)")
_NUMERIC = re.compile(r"##INFO=<(?:.*,)?ID=([^,>]+).*,Type=(Integer|Float)\b")
_DESCRIPTION = re.compile(r'"(\\.|[^"\\])*"')  # which may look like attributes
_INTEGER = re.compile(r"[+-]?\d+")
_INTEGERS = range(-(1 << 31) + 8, 1 << 31)  # the eight below are marks of BCF
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LARGEST = float(np.finfo(np.float32).max)
_NEEDS_NONE = {("INFO", "."), ("FILTER", "."), ("FILTER", "PASS"), ("FORMAT", "")}


def check_fits_bcf(vcf: VcfFile) -> None:
    """Raise an InputError at a record that BCF would not hold as it stands.

    htslib writes a missing value where INFO or QUAL is no number, the beginning of a fraction
    where the header says Integer, and drops a column too many, without a word; a name that the
    header does not declare it refuses at the end. Contigs may be undeclared, for
    `with_contigs`. Values of samples are not looked at.
    """
    declared = _declared(vcf.header) | _NEEDS_NONE
    attributes = map(_without_descriptions, vcf.header)
    numeric = {found[1]: found[2] for line in attributes if (found := _NUMERIC.match(line))}
    n_columns = vcf.header[-1].count("\t")
    for record in vcf.records():
        problem = _problem(record, declared, numeric, n_columns)
        if problem:
            raise InputError(
                f"{vcf.name}, {record.contig}:{record.columns[1]}: {problem}, and BCF cannot hold "
                "it so; mend it (bcftools annotate --header-lines declares), or write .vcf.gz"
            )


def _problem(
    record: VcfRecord,
    declared: Set[tuple[str, str]],
    numeric: Mapping[str, str],
    n_columns: int,
) -> str:
    if sum(column.count("\t") + 1 for column in record.columns) != n_columns + 1:
        return "there are other columns than in the header"
    if not _are_numbers(record.columns[5], "Float"):
        return f"QUAL is no 32-bit number, {record.columns[5]!r}"
    for kind, name in _named(record):
        if (kind, name) not in declared:
            return f"the header does not declare {kind} {name!r}"
    for entry in record.columns[7].split(";"):
        name, _, values = entry.partition("=")
        if name in numeric and not _are_numbers(values, numeric[name]):
            return f"INFO {name!r} is declared {numeric[name]} (32-bit), and is {values!r}"
    return ""


def _are_numbers(values: str, kind: str) -> bool:
    """Whether BCF holds all values as numbers of a kind, Integer or Float."""
    fits = _fits_integer if kind == "Integer" else _fits_float
    return all(value == "." or fits(value) for value in values.split(","))


def _fits_integer(value: str) -> bool:
    return bool(_INTEGER.fullmatch(value)) and int(value) in _INTEGERS


def _fits_float(value: str) -> bool:
    if _NUMBER.fullmatch(value):
        return abs(float(value)) <= _LARGEST
    return bool(_NO_NUMBER.fullmatch(value))


def _named(record: VcfRecord) -> Iterator[tuple[str, str]]:
    filters, info, *rest = record.columns[6:9]
    yield from (("FILTER", name) for name in filters.split(";"))
    yield from (("INFO", entry.partition("=")[0]) for entry in info.split(";"))
    yield from (("FORMAT", key) for text in rest for key in text.partition("\t")[0].split(":"))


def _declared(header: Iterable[str]) -> set[tuple[str, str]]:
    attributes = map(_without_descriptions, header)
    return {(found[1], found[2]) for line in attributes if (found := _DECLARED.match(line))}


def _without_descriptions(line: str) -> str:
    return _DESCRIPTION.sub('""', line)


def with_contigs(header: list[str], lengths: Mapping[str, int]) -> list[str]:
    """Declare those contigs that a header lacks.

    Parameters
    ----------
    header
        Lines of a header, the one of the columns last.
    lengths
        Of the contigs that records are on.
    """
    declared = _declared(header)
    added = [
        f"##contig=<ID={contig},length={length}>"
        for contig, length in lengths.items()
        if ("contig", contig) not in declared
    ]
    return [*header[:-1], *added, header[-1]]


def write_bcf(path: Path, index: Path, vcf: Path) -> None:
    """Write a sorted VCF file as BCF with its .csi index.

    Raises
    ------
    WorkError
        If a record is not as the header declares it.
    """
    try:  # not by pysam.VariantFile, which adds END to records of symbolic alleles
        with work_errors("BCF"):
            pysam.bcftools.view(
                "--no-version", "-O", "b", "-o", str(path), str(vcf), catch_stdout=False
            )
            pysam.bcftools.index("-f", "-c", "-o", str(index), str(path), catch_stdout=False)
    except pysam.SamtoolsError as error:
        raise WorkError(
            f"BCF could not be written ({error}); the disk may be full, or the input not be as "
            "its header declares it: a .vcf.gz takes it as it is"
        ) from error
    check_written_whole(path)
    check_written_whole(index)
