"""VCF to VCF, or to a table, with a score for each alternative allele."""

import logging
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from megabase.errors import InputError
from megabase.genome.reference import Reference
from megabase.inference.predictor import Predictor
from megabase.inference.strands import strands_of
from megabase.inference.variant_effect import choose_window
from megabase.io.bcf import bits_of_index, check_fits_bcf, with_contigs, write_bcf
from megabase.io.chrom_map import read_chrom_map
from megabase.io.genome_file import open_reference
from megabase.io.table import check_parquet, write_parquet, write_table
from megabase.io.vcf import (
    VcfFile,
    VcfRecord,
    encode_lines,
    extended_header,
    index_suffix,
    index_vcf,
    read_lines,
    write_vcf,
)
from megabase.jobs.stream import LINES_PER_RECORD, Journal, Shard, kept_journal, packed_counts
from megabase.jobs.variant_fields import (
    NAMES,
    count_skipped,
    info_entries,
    info_fields,
    skipped_text,
    table_columns,
    table_rows,
)
from megabase.jobs.vcf_survey import Survey, survey
from megabase.run.location import cache_folder, genome_path
from megabase.run.log import Meter, counted, progress
from megabase.run.output import Output, check_no_input, check_place
from megabase.run.provenance import file_sha256, stamp

_log = logging.getLogger(__name__)

_MOST_IN_PART = 128  # records that a kill may cost
_BASES_IN_PART = 1 << 17  # of one window for each record
_TABLES = (".tsv", ".parquet")
_INDEXED = (".vcf.gz", ".bcf")
_SUFFIXES = (".vcf", *_INDEXED, *_TABLES)
_PREFIX = "megabase_"  # of what is said of the scores, in each format


def score_vcf(
    model: str,
    genome: str,
    source: str,
    output: Path,
    *,
    window: int | None = None,
    strand: str = "average",
    distance: bool = False,
    shard: str = "1/1",
    chrom_map: Path | None = None,
    device: str = "auto",
    max_memory_gib: float | None = None,
    precision: str = "float32",
    overwrite: bool = False,
) -> None:
    """Score every alternative allele of a VCF or BCF file; every record stays, in order.

    A kill costs the part that was being made: the same request goes on from there.

    Parameters
    ----------
    model
        What `model.load` takes.
    genome
        FASTA or 2bit.
    source
        VCF, plain or compressed by gzip or bgzip; or BCF.
    output
        A ``.vcf``; a ``.vcf.gz``, compressed by bgzip, or a ``.bcf``, with an index; or a
        ``.tsv`` or ``.parquet``, a table with a row for each alternative allele.
    window
        Bases of a window; None: as `choose_window`.
    strand
        One of `inference.strands.STRANDS`.
    distance
        Whether to tell how far each allele moves the embedding, too.
    shard
        ``i/n``: of every n records the i-th.
    chrom_map
        Two columns: a contig's name in `source`, and in `genome`.
    device, max_memory_gib, precision
        As of `Predictor`.
    overwrite
        Whether what is there may be replaced.

    Raises
    ------
    InputError
        If an input cannot be used, or an option cannot be honoured.
    """
    _check_options(source, genome, output, strand)
    part = Shard.from_text(shard)
    contigs = {} if chrom_map is None else read_chrom_map(chrom_map)
    reference = open_reference(genome_path(genome), cache=cache_folder())
    check_place(output, is_folder=False)
    predictor = Predictor.load(
        model, device=device, max_memory_gib=max_memory_gib, precision=precision
    )
    n_window = choose_window(window, predictor.context_length)
    request = {
        "command": "score-vcf",
        "model": predictor.weights_sha256,
        "precision": precision,
        "input": file_sha256(Path(source)),
        "genome": file_sha256(genome_path(genome)),
        "window": n_window,
        "strand": strand,
        "distance": distance,
        "shard": str(part),
        "contigs": contigs,
    }
    vcf = VcfFile(Path(source))
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if not place.is_finished:
        _Work(predictor, reference, vcf, contigs, request).write(place)


def _check_options(source: str, genome: str, output: Path, strand: str) -> None:
    strands_of(strand)
    if not output.name.endswith(_SUFFIXES):
        raise InputError(f"an output ends in one of {', '.join(_SUFFIXES)}; got {output}")
    if output.suffix == ".parquet":
        check_parquet()
    check_no_input(output, (Path(source), genome_path(genome)))
    if not Path(source).is_file():
        raise InputError(f"there is no VCF file {source}")


class _Work:
    """One file to be scored with one model."""

    def __init__(
        self,
        predictor: Predictor,
        reference: Reference,
        vcf: VcfFile,
        contigs: Mapping[str, str],
        request: Mapping[str, Any],
    ) -> None:
        self._predictor = predictor
        self._reference = reference
        self._vcf = vcf
        self._contigs = contigs
        self._request = request
        self._shard = Shard.from_text(request["shard"])
        self._with_distance: bool = request["distance"]
        self._n_alleles, self._n_skipped = 0, Counter[str]()
        self._lines_per_record: dict[str, str] = {}

    def write(self, place: Output) -> None:
        """Score what is not done yet, then put the whole in its place."""
        is_indexed = place.path.name.endswith(_INDEXED)
        found = survey(self._vcf, self._reference, self._contigs, needs_order=is_indexed)
        if place.path.suffix == ".bcf":
            check_fits_bcf(self._vcf, replaced=NAMES)
        self._announce(found)
        device = self._predictor.device.type  # which decides the last bits
        with kept_journal(place.path, {**self._request, "device": device}) as journal:
            with progress(self._shard.size(found.n_records), "scoring", "records") as meter:
                self._score(journal, meter)
                self._check_all_there(journal, found)
            self._count(journal.body)
            if self._shard.count > 1:
                is_table = place.path.suffix in _TABLES
                counts = (
                    len(record.site(record.contig).alts) if is_table else 1
                    for record in read_lines(journal.body)
                )  # fmt: skip
                self._lines_per_record[LINES_PER_RECORD] = packed_counts(counts)
            if place.path.suffix in _TABLES:
                self._write_table(place, journal.body, found)
            else:
                self._write_records(place, journal.body, found)

    def _count(self, body: Path) -> None:
        """Count what has a score and what has none, for the log, the header and the record."""
        self._n_alleles, self._n_skipped = count_skipped(read_lines(body))
        _log.info(
            "%s alternative alleles; skipped: %s", f"{self._n_alleles:,}",
            skipped_text(self._n_skipped),
        )  # fmt: skip

    def _announce(self, found: Survey) -> None:
        """Tell windows, memory and time of the whole shard."""
        window, strand = self._request["window"], self._request["strand"]
        n_strands = len(strands_of(strand))
        n_windows = n_strands * self._shard.size(found.n_records + found.n_alts)
        n = counted(n_windows, "window")
        _log.info("at most %s of %s bases; strand: %s", n, f"{window:,}", strand)
        if n_windows:
            plan = self._predictor.plan(longest=window, n_tokens=n_windows * window)
            _log.info("scoring: %s", plan)

    def _score(self, journal: Journal, meter: Meter) -> None:
        """Add the records that the journal lacks, a part at a time."""
        if journal.n_done:
            _log.info("%s done already", counted(journal.n_done, "record is", "records are"))
        meter.skip(journal.n_done)
        records = islice(self._shard.of(self._vcf.records()), journal.n_done, None)
        n_in_part = min(_MOST_IN_PART, max(1, _BASES_IN_PART // self._request["window"]))
        while part := list(islice(records, n_in_part)):
            lines = encode_lines(self._lines(part))
            journal.append(lines, len(part))
            meter.advance(len(part))

    def _check_all_there(self, journal: Journal, found: Survey) -> None:
        """Refuse a file that was another when it was surveyed."""
        expected = self._shard.size(found.n_records)
        if journal.n_done != expected:
            raise InputError(
                f"{self._vcf.name} changed while it was read: expected {expected:,} records, got "
                f"{journal.n_done:,}; run again once it is whole"
            )

    def _lines(self, records: Sequence[VcfRecord]) -> Iterator[str]:
        sites = [record.site(self._contigs.get(record.contig, record.contig)) for record in records]
        effects = self._predictor.score_variants(
            self._reference,
            sites,
            window=self._request["window"],
            both_strands=len(strands_of(self._request["strand"])) == 2,
            with_distance=self._with_distance,
        )
        for record, each in zip(records, effects, strict=True):
            yield record.with_info(info_entries(each, with_distance=self._with_distance), NAMES)

    def _header(self) -> list[str]:
        fields = info_fields(with_distance=self._with_distance)
        return extended_header(
            self._vcf.header, fields, self._notes(), declared=NAMES, prefix=_PREFIX
        )

    def _write_records(self, place: Output, body: Path, found: Survey) -> None:
        """Put the records under their header; VCF or BCF."""
        match place.path.suffix:
            case ".bcf":
                self._write_bcf(place, body, found)
            case ".gz":
                longest = max(*self._reference.lengths.values(), found.furthest)
                suffix = "" if found.not_in_index else index_suffix(longest)
                with self._open_indexed(place, suffix, found) as part:
                    write_vcf(part, self._header(), body, bgzip=True)
                    if suffix:
                        index_vcf(part, Path(f"{part}{suffix}"), longest_contig=longest)
            case _:
                with self._open(place) as part:
                    write_vcf(part, self._header(), body, bgzip=False)

    def _write_bcf(self, place: Output, body: Path, found: Survey) -> None:
        plain, header = body.with_name("whole.vcf"), with_contigs(self._header(), found.contigs)
        bits = bits_of_index(header, found.furthest)
        if found.n_before > 1:  # htslib takes the second one for unsorted
            bits = None
        write_vcf(plain, header, body, bgzip=False)
        with self._open_indexed(place, "" if bits is None else ".csi", found) as part:
            write_bcf(part, plain, index_shift=bits)

    @contextmanager
    def _open_indexed(self, place: Output, suffix: str, found: Survey) -> Generator[Path]:
        """Open an output with an index of this suffix; without one, a log line gives the reason."""
        with self._open(place, *filter(None, [suffix])) as part:
            yield part
        for other in {".tbi", ".csi"} - {suffix}:  # of a file that was replaced
            Path(f"{place.path}{other}").unlink(missing_ok=True)
        if not suffix:
            _log.warning(
                "%s has no index, for none holds all of its records: %s", place.path,
                f"{found.not_in_index} is not a position" if found.not_in_index
                else f"some lie at POS 0 or end as far as {found.furthest:,}",
            )  # fmt: skip

    def _write_table(self, place: Output, body: Path, found: Survey) -> None:
        """Write a row for each alternative allele, of the numbers that the records have."""
        if found.n_bare:
            _log.info("records without an alternative allele have no row: %s", found.n_bare)
        columns = table_columns(with_distance=self._with_distance)
        rows = table_rows(read_lines(body), with_distance=self._with_distance)
        with self._open(place) as part:
            if part.suffix == ".parquet":
                notes = {f"{_PREFIX}{key}": value for key, value in self._notes().items()}
                write_parquet(part, columns, rows, notes)
            else:
                with part.open("w", encoding="utf-8") as file:
                    write_table(file, list(columns), rows)

    def _open(self, place: Output, *companions: str) -> AbstractContextManager[Path]:
        return place.write_at(
            *companions,
            device=self._predictor.device.type,
            n_alleles=self._n_alleles,
            n_skipped=dict(sorted(self._n_skipped.items())),
            **self._lines_per_record,
        )

    def _notes(self) -> dict[str, str]:
        """Say in the header what made the scores."""
        made = stamp()
        request = self._request
        return {
            "version": made["versions"]["megabase"],
            "model": f"sha256:{request['model']}",
            "context": str(self._predictor.context_length),
            "window": str(request["window"]),
            "strand": request["strand"],
            "precision": request["precision"],
            "shard": request["shard"],
            "alleles": str(self._n_alleles),
            "skipped": skipped_text(self._n_skipped),
            "command": made["command"],
        }
