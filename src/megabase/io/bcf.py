"""Write BCF, which needs every name declared in its header, from a VCF file."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam
import pysam.bcftools

from megabase.errors import InputError, WorkError
from megabase.io.vcf import (
    VcfFile,
    VcfRecord,
    check_written_whole,
    declaration,
    without_quoted,
    work_errors,
    write_vcf,
)

_NUMERIC = re.compile(r"##INFO=<(?:.*,\s*)?Type=(Integer|Float)\b")
_LENGTH = re.compile(r"##contig=<(?:.*,\s*)?length=(\d+)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_INTEGERS = range(-(1 << 31) + 8, 1 << 31)  # BCF reserves the eight smaller ones
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LARGEST = float(np.finfo(np.float32).max)
_FURTHEST = (1 << 31) - 1  # greatest position, counted from 1
_LEAST_BITS, _MOST_BITS, _MARGIN = 14, 30, 256  # of the .csi index that htslib writes
_NOT_OF_A_CONTIG = frozenset(',<>"')  # these would end a contig name in the header
_NEEDS_NONE = {("INFO", "."), ("FILTER", "."), ("FILTER", "PASS"), ("FORMAT", "")}


def bcf_check(vcf: VcfFile, *, replaced: Iterable[str] = ()) -> Callable[[VcfRecord], None]:
    """Return a function that raises an InputError at a record that BCF cannot represent exactly.

    htslib silently writes a missing value if INFO or QUAL is not a number, truncates a fraction
    if the header says Integer, and drops extra columns; it rejects undeclared names only at the
    end. Contigs may be undeclared, because `with_contigs` adds them. Sample values are not
    checked.

    Parameters
    ----------
    vcf
        The file of the records.
    replaced
        Names of INFO fields that will be replaced, and need no check.
    """
    rules = _Rules.of(vcf.header, set(replaced))

    def check(record: VcfRecord) -> None:
        if problem := _problem(record, rules):
            raise InputError(
                f"{vcf.name}, {record.contig}:{record.columns[1]}: {problem}, which BCF cannot "
                "store; fix it (bcftools annotate --header-lines declares names), or write .vcf.gz"
            )

    return check


class _Rules(NamedTuple):
    """The rules of a header: declared names, types of INFO fields, number of columns."""

    declared: Set[tuple[str, str]]
    numeric: Mapping[str, str]
    n_columns: int
    replaced: Set[str]

    @classmethod
    def of(cls, header: Sequence[str], replaced: Set[str]) -> "_Rules":
        numeric = {
            found[1]: kind[1]
            for line in header
            if (kind := _NUMERIC.match(without_quoted(line))) and (found := declaration(line))
        }
        return cls(_declared(header) | _NEEDS_NONE, numeric, header[-1].count("\t") + 1, replaced)


def _problem(record: VcfRecord, rules: _Rules) -> str:
    if sum(column.count("\t") + 1 for column in record.columns) != rules.n_columns:
        return "the number of columns differs from the header"
    return _problem_of_place(record) or _problem_of_values(record, rules)


def _problem_of_place(record: VcfRecord) -> str:
    contig, position, _, ref, alt, qual = record.columns[:6]
    if not contig or _NOT_OF_A_CONTIG & {*contig}:
        return f"{contig!r} is not a valid contig name"
    if not record.has_position or record.position >= _FURTHEST:
        return f"POS is not a whole number up to {_FURTHEST:,}, {position!r}"
    if not all((ref, *alt.split(","))):
        return "an allele is empty (a missing one is written as .)"
    return "" if _are_numbers(qual, "Float") else f"QUAL is not a 32-bit number, {qual!r}"


def _problem_of_values(record: VcfRecord, rules: _Rules) -> str:
    for kind, name in _named(record):
        if (kind, name) not in rules.declared and not (kind == "INFO" and name in rules.replaced):
            return f"the header does not declare {kind} {name!r}"
    for entry in record.columns[7].split(";"):
        name, _, values = entry.partition("=")
        type_ = None if name in rules.replaced else rules.numeric.get(name)
        if type_ and not _are_numbers(values, type_):
            return f"INFO {name!r} is declared {type_} (32-bit), but is {values!r}"
    return ""


def _are_numbers(values: str, kind: str) -> bool:
    """Return whether BCF can store all values as numbers of a type, Integer or Float."""
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
    return {found for line in header if (found := declaration(line))}


def with_contigs(header: list[str], lengths: Mapping[str, int | None]) -> list[str]:
    """Return a header with declarations of its missing contigs added.

    Parameters
    ----------
    header
        Lines of a header; the last is the line of column names.
    lengths
        Length in bp of each contig with records; None if unknown.
    """
    declared = _declared(header)
    added = [
        f"##contig=<ID={contig}" + ("" if length is None else f",length={length}") + ">"
        for contig, length in lengths.items()
        if ("contig", contig) not in declared
    ]
    return [*header[:-1], *added, header[-1]]


def write_bcf(
    path: Path, header: Iterable[str], records: Iterable[str], *, index_shift: int | None
) -> None:
    """Write sorted records as BCF, and the .csi index next to it.

    htslib converts files, so the records are first written to a temporary VCF file next to it.

    Parameters
    ----------
    path
        The file to write.
    header, records
        Lines of the header and of the records.
    index_shift
        Bits of the smallest bin of the index, from `bits_of_index`; None writes no index.

    Raises
    ------
    WorkError
        If a record does not match the header, or the disk is full.
    """
    plain = Path(f"{path}.vcf")
    try:
        write_vcf(plain, header, records, bgzip=False)
        convert_to_bcf(path, plain, index_shift=index_shift)
    finally:
        plain.unlink(missing_ok=True)


def convert_to_bcf(path: Path, vcf: Path, *, index_shift: int | None) -> None:
    """Convert a sorted VCF file to BCF as `write_bcf` does."""
    try:  # pysam.VariantFile would add END to records with symbolic alleles
        with work_errors("BCF"):
            pysam.bcftools.view(
                "--no-version", "-O", "b", "-o", str(path), str(vcf), catch_stdout=False
            )
            if index_shift is not None:
                pysam.bcftools.index(
                    "-f", "-c", "-m", str(index_shift), "-o", f"{path}.csi", str(path),
                    catch_stdout=False,
                )  # fmt: skip
    except pysam.SamtoolsError as error:
        raise WorkError(
            f"BCF could not be written ({error}); the disk may be full, or the input may not match "
            "its header: a .vcf.gz accepts it as it is"
        ) from error
    check_written_whole(path)
    if index_shift is not None:
        check_written_whole(Path(f"{path}.csi"))


def bits_of_index(header: Iterable[str], furthest: int) -> int | None:
    """Return the bits of the smallest bin of an index that covers every record; None if impossible.

    htslib uses as many levels of bins, each eight times as large as the previous one, as the
    longest contig of the header needs. A record beyond its contig may need larger bins.

    Parameters
    ----------
    header
        Lines of the header of the BCF file.
    furthest
        The last position of any record, counted from 1.

    Examples
    --------
    >>> header = ["##contig=<ID=chrI,length=400>"]
    >>> [bits_of_index(header, furthest) for furthest in (400, 20_000, 1 << 31)]
    [14, 15, None]
    """
    lengths = [int(found[1]) for line in header if (found := _LENGTH.match(without_quoted(line)))]
    longest = max(lengths, default=0) or _FURTHEST
    for bits in range(_LEAST_BITS, _MOST_BITS + 1):
        reach = 1 << bits
        while reach < longest + _MARGIN:
            reach <<= 3
        if furthest <= reach:
            return bits
    return None
