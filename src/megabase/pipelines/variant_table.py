"""Scores of alleles as INFO fields or table rows, and the survey of a VCF file before any work.

A file is rejected if none of its records matches the genome. A single record that does not is
skipped later, with its reason.
"""

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from megabase.errors import InputError, counted
from megabase.genome.reference import Reference, check_contig
from megabase.genome.variant import Site
from megabase.genome.vocabulary import DNA
from megabase.inference.scores import SKIP_REASONS, VariantEffect, has_reference_allele, lies_within
from megabase.io.vcf import InfoField, VcfFile, VcfRecord, printable

_RATIO = "log-likelihood of the alternative minus the reference allele, in nats, natural logarithm"
_SCORES = (
    InfoField("MB_LLR", "A", "Float", f"Of windows of equal length: {_RATIO}"),
    InfoField("MB_LLR_BASE", "A", "Float", f"Mean over the bases of each window: {_RATIO}"),
    InfoField("MB_LLR_FLANK", "A", "Float", f"Of the bases after the allele only: {_RATIO}"),
)
_DISTANCE = InfoField(
    "MB_DIST", "A", "Float",
    "Euclidean distance between the mean last hidden states of the two windows",
)  # fmt: skip
_SKIP = InfoField(
    "MB_SKIP", "A", "String",
    "Why the allele has no score, . if it has one: "
    + "; ".join(f"{key} = {meaning}" for key, meaning in SKIP_REASONS.items()),
)  # fmt: skip
_EDGE = InfoField(
    "MB_EDGE",
    "0",
    "Flag",
    "An end of the contig moved or shortened a window, or the two windows have different numbers "
    "of N: MB_LLR_BASE is then the better comparison",
)

NAMES = tuple(field.name for field in (*_SCORES, _DISTANCE, _SKIP, _EDGE))
"""Names of all fields; `info_fields` returns those that are written."""

_COLUMN_OF = {
    "MB_LLR": "llr", "MB_LLR_BASE": "llr_per_base", "MB_LLR_FLANK": "llr_flank",
    "MB_DIST": "distance",
}  # fmt: skip


def info_fields(*, with_distance: bool) -> tuple[InfoField, ...]:
    """Return the fields that are added to INFO, with or without the distance."""
    return (*_numbers(with_distance), _SKIP, _EDGE)


def info_entries(effects: Sequence[VariantEffect], *, with_distance: bool) -> list[str]:
    """Return the INFO entries of a record; an empty list if it has no alternative allele.

    Parameters
    ----------
    effects
        The effect of each alternative allele.
    with_distance
        Whether to include the distance.
    """
    if not effects:
        return []
    numbers = map(_values, effects)
    entries = [
        f"{field.name}={','.join(map(_text, values))}"
        for field, values in zip(_numbers(with_distance), zip(*numbers, strict=True), strict=False)
    ]
    if any(e.skip_reason for e in effects):
        entries.append(f"{_SKIP.name}={','.join(e.skip_reason or '.' for e in effects)}")
    if any(e.is_at_edge for e in effects):
        entries.append(_EDGE.name)
    return entries


def table_columns(*, with_distance: bool) -> dict[str, type]:
    """Return the names and types of the columns of a table."""
    return {
        "contig": str, "position_1based": int, "id": str, "ref": str, "alt": str,
        **{_COLUMN_OF[field.name]: float for field in _numbers(with_distance)},
        "skip": str, "edge": bool,
    }  # fmt: skip


class ScoredRecord(NamedTuple):
    """A record of the input, and the effect of each of its alternative alleles."""

    record: VcfRecord
    effects: Sequence[VariantEffect]

    def line(self, *, with_distance: bool) -> str:
        """Return the line of the record with `info_entries`, which replace earlier ones."""
        added = info_entries(self.effects, with_distance=with_distance)
        return self.record.with_info(added, NAMES)

    def rows(self, *, with_distance: bool, as_text: bool) -> Iterator[Mapping[str, object]]:
        """Yield a table row for each alternative allele.

        Missing values are None: the scores of a skipped allele, the skip reason of a scored one,
        and an id of ``.``.

        Parameters
        ----------
        with_distance
            Whether to include the distance.
        as_text
            Whether scores are texts of six significant digits, as in INFO, or numbers.
        """
        contig, position, name, ref = map(printable, self.record.columns[:4])
        is_at_edge = any(effect.is_at_edge for effect in self.effects)
        alts = self.record.site(contig).alts
        for alt, effect in zip(alts, self.effects, strict=True):
            scores = zip(_numbers(with_distance), _values(effect), strict=False)
            yield {
                "contig": contig,
                "position_1based": int(position) if self.record.has_position else None,
                "id": None if name == "." else name, "ref": ref, "alt": printable(alt),
                **{_COLUMN_OF[field.name]: None if math.isnan(value)
                   else _text(value) if as_text else value for field, value in scores},
                "skip": effect.skip_reason or None, "edge": is_at_edge,
            }  # fmt: skip


def encode_scored(
    records: Iterable[VcfRecord], effects: Iterable[Sequence[VariantEffect]]
) -> bytes:
    """Encode records and their effects, a line of JSON each; numbers keep all digits."""
    lines = (
        json.dumps([record.columns, effects_of], separators=(",", ":"))
        for record, effects_of in zip(records, effects, strict=True)
    )
    return "".join(f"{line}\n" for line in lines).encode()


def decode_scored(body: Path) -> Iterator[ScoredRecord]:
    """Yield the records of a file of `encode_scored` lines."""
    with body.open(encoding="utf-8") as file:
        for line in file:
            columns, effects = json.loads(line)
            yield ScoredRecord(VcfRecord(columns), [VariantEffect(*each) for each in effects])


def count_skipped(scored: Iterable[ScoredRecord]) -> tuple[int, Counter[str]]:
    """Return the number of all alternative alleles, and of those without a score by reason."""
    n_alleles = 0
    n_skipped: Counter[str] = Counter()
    for each in scored:
        n_alleles += len(each.effects)
        n_skipped.update(effect.skip_reason for effect in each.effects if effect.skip_reason)
    return n_alleles, n_skipped


def skipped_text(n_skipped: Mapping[str, int]) -> str:
    """Format the number of skipped alleles, in total and by reason, most frequent first.

    Examples
    --------
    >>> skipped_text({"star": 2, "symbolic": 1_000}), skipped_text({})
    ('1,002 (symbolic 1,000; star 2)', '0')
    """
    ordered = sorted(n_skipped.items(), key=lambda each: (-each[1], each[0]))
    reasons = "; ".join(f"{reason} {n:,}" for reason, n in ordered)
    return f"{sum(n_skipped.values()):,}" + (f" ({reasons})" if reasons else "")


def _numbers(with_distance: bool) -> tuple[InfoField, ...]:
    return (*_SCORES, _DISTANCE) if with_distance else _SCORES


def _text(value: float) -> str:
    return "." if math.isnan(value) else f"{value:.6g}"


def _values(effect: VariantEffect) -> tuple[float, float, float, float]:
    return effect.log_likelihood_ratio, effect.per_base, effect.flank, effect.distance


_N_COMPARED = 1000  # reference alleles that are compared with the genome
_N_NAMED = 5  # contigs listed in a log line
_MOST_IN_INDEX = 1 << 40  # the last position supported; the .csi of a .vcf.gz has a little more
_END = re.compile(r"(?:^|;)END=(\d{1,18})(?=;|$)")
_SPANS = re.compile(r"(?:^|;)SVLEN=([^;]+)")
_SPAN = re.compile(r"-?(\d{1,18})")

_log = logging.getLogger(__name__)


class Survey(NamedTuple):
    """The contents of a file.

    Parameters
    ----------
    n_records
        Number of records.
    n_alts
        Number of alternative alleles in all records.
    n_bare
        Number of records without an alternative allele.
    contigs
        Length of each contig that has records, by its name in the file; None if the genome lacks
        the contig.
    furthest
        The last position that a record covers, counted from 1; 0 if the file has no records.
    not_in_index
        The first record that an index cannot hold because its POS is too large or not a whole
        number, as ``contig:POS``; empty if an index can hold all.
    n_before
        The largest number of records at POS 0 of one contig.
    """

    n_records: int
    n_alts: int
    n_bare: int
    contigs: Mapping[str, int | None]
    furthest: int
    not_in_index: str
    n_before: int


def survey(
    vcf: VcfFile,
    reference: Reference,
    contigs: Mapping[str, str],
    *,
    needs_order: bool,
    check: Callable[[VcfRecord], None] | None = None,
) -> Survey:
    """Read a file once, and raise errors that would otherwise occur later.

    Log lines report the number of records on contigs that the genome lacks, and of empty lines.

    Parameters
    ----------
    vcf
        The file.
    reference
        The genome.
    contigs
        Names of contigs in the genome by their names in the file, where they differ.
    needs_order
        Whether the records must be sorted, for an index.
    check
        Called with each record; None: not needed.

    Raises
    ------
    InputError
        If no contig of the file is in the genome; if no record lies within its contig; if no POS
        is a whole number; if more than half of the first 1,000 reference alleles within their
        contigs differ from the genome; or if the records must be sorted and are not.
    """
    found = _Found(vcf, reference, contigs)
    for record in _in_order(vcf.records(), vcf.name) if needs_order else vcf.records():
        found.add(record)
        if check is not None:
            check(record)
    found.check()
    return Survey(
        n_records=found.n_records,
        n_alts=found.n_alts,
        n_bare=found.n_bare,
        contigs={
            contig: reference.lengths.get(contigs.get(contig, contig))
            for contig in found.n_on_contig
        },
        furthest=found.furthest,
        not_in_index=found.not_in_index,
        n_before=max(found.n_before.values(), default=0),
    )


class _Found:
    """Counts over the records read so far."""

    def __init__(self, vcf: VcfFile, reference: Reference, contigs: Mapping[str, str]) -> None:
        self._vcf, self._reference, self._contigs = vcf, reference, contigs
        self.n_records = self.n_alts = self.n_bare = self.furthest = 0
        self.not_in_index = ""
        self.n_on_contig: Counter[str] = Counter()
        self.n_before: Counter[str] = Counter()
        self._n_with_position = self._n_inside = self._n_compared = self._n_other = 0
        self._first: VcfRecord | None = None
        self._first_outside: VcfRecord | None = None

    def add(self, record: VcfRecord) -> None:
        """Count a record, and compare its reference allele if it is one of the first."""
        site = record.site(self._contigs.get(record.contig, record.contig))
        self._first = self._first or record
        self.n_records += 1
        self.n_alts += len(site.alts)
        self.n_bare += not site.alts
        self.n_on_contig[record.contig] += 1
        self._add_place(record, site)
        is_of_bases = bool(site.ref) and set(site.ref.upper()) <= set(DNA.bases)
        if not lies_within(self._reference, site):
            if is_of_bases and record.has_position and site.contig in self._reference.lengths:
                self._first_outside = self._first_outside or record
            return
        self._n_inside += 1
        if is_of_bases and self._n_compared < _N_COMPARED:
            self._n_compared += 1
            self._n_other += not has_reference_allele(self._reference, site)
            if self._n_compared == _N_COMPARED:
                self._check_assembly()

    def _add_place(self, record: VcfRecord, site: Site) -> None:
        """Update the range of positions that an index must hold."""
        end = _end(record, site)
        self.furthest = max(self.furthest, end)
        self._n_with_position += record.has_position
        if record.has_position and site.position < 0:
            self.n_before[record.contig] += 1
        if not record.has_position or end > _MOST_IN_INDEX:
            self.not_in_index = self.not_in_index or f"{record.contig}:{record.columns[1]}"

    def check(self) -> None:
        """Raise an InputError if the file does not match the genome; log records that do not."""
        if self._vcf.n_empty:
            lines = counted(self._vcf.n_empty, "empty line")
            _log.info("%s: %s left out", self._vcf.name, lines)
        if self._first is None:
            return
        if not self._n_with_position:
            raise InputError(
                f"{self._vcf.name}: no record has a whole number as POS; the first one is "
                f"{self._first.contig}:{self._first.columns[1]}; check that no column is missing"
            )
        self._check_contigs()
        if self._first_outside is not None and not self._n_inside:
            self._refuse_place(self._first_outside)
        self._check_assembly()

    def _check_contigs(self) -> None:
        lengths = self._reference.lengths
        names = {contig: self._contigs.get(contig, contig) for contig in self.n_on_contig}
        lacking = [contig for contig, name in names.items() if name not in lengths]
        if len(lacking) == len(names):
            self._refuse_contig(lacking[0], names[lacking[0]])
        if lacking:
            n_lacking = {contig: self.n_on_contig[contig] for contig in lacking}
            listed = ", ".join(f"{name!r} ({n:,})" for name, n in [*n_lacking.items()][:_N_NAMED])
            _log.warning(
                "%s: %s of %s records are on %d contigs that %s lacks and are skipped (no_contig): "
                "%s%s; --chrom-map FILE gives their names in the genome", self._vcf.name,
                f"{sum(n_lacking.values()):,}", f"{self.n_records:,}", len(lacking),
                self._reference.name, listed, ", ..." if len(lacking) > _N_NAMED else "",
            )  # fmt: skip

    def _refuse_contig(self, found: str, contig: str) -> None:
        try:
            check_contig(contig, self._reference.lengths, self._reference.name)
        except InputError as error:
            raise InputError(
                f"contig {found!r} of {self._vcf.name}: {error}; if names differ, give --chrom-map "
                "FILE with lines of the name in the VCF file and the name in the genome"
            ) from error

    def _refuse_place(self, record: VcfRecord) -> None:
        contig = self._contigs.get(record.contig, record.contig)
        raise InputError(
            f"{self._vcf.name}: no record lies within a contig; the first, {record.contig}:"
            f"{record.columns[1]}, starts before or ends beyond its contig, which has "
            f"{self._reference.lengths[contig]:,} bp in {self._reference.name}; check that file "
            "and genome have the same assembly"
        )

    def _check_assembly(self) -> None:
        if 2 * self._n_other > self._n_compared:
            raise InputError(
                f"{self._n_other:,} of the first {self._n_compared:,} reference alleles of "
                f"{self._vcf.name} differ from {self._reference.name}; check that file and genome "
                "have the same assembly"
            )


def _end(record: VcfRecord, site: Site) -> int:
    """Return the last position, counted from 1, that an index assigns to a record."""
    end = site.position + max(1, len(site.ref))
    if "END=" in record.columns[7] or "SVLEN=" in record.columns[7]:
        if found := _END.search(record.columns[7]):
            end = max(end, int(found[1]))
        if found := _SPANS.search(record.columns[7]):
            spans = filter(None, map(_SPAN.fullmatch, found[1].split(",")))
            end = max([end, *(end + int(span[1]) for span in spans)])
    return end


def _in_order(records: Iterable[VcfRecord], name: str) -> Iterator[VcfRecord]:
    """Yield records; raise an InputError unless contigs are contiguous and positions ascend.

    A record whose POS is not a number may be anywhere.
    """
    ended: set[str] = set()
    before: VcfRecord | None = None
    for record in records:
        if not record.has_position:
            yield record
            continue
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
        f"{name} is not sorted: {record.contig}:{record.position + 1} comes after records that "
        "should follow it, and .vcf.gz and .bcf need an index; sort it (bcftools sort), or write "
        ".vcf, .tsv or .parquet"
    )
