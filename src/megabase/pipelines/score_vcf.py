"""Score every alternative allele of a VCF file, and write a VCF file or a table."""

import logging
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from megabase.errors import InputError
from megabase.genome.reference import Reference
from megabase.inference.choices import strands_of
from megabase.inference.predictor import Predictor
from megabase.inference.scores import choose_window
from megabase.io.bcf import bits_of_index, check_fits_bcf, with_contigs, write_bcf
from megabase.io.genome_file import open_reference, read_chrom_map
from megabase.io.tables import check_parquet, write_parquet, write_table
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
from megabase.pipelines.pipeline import (
    LINES_PER_RECORD,
    Journal,
    Shard,
    open_journal,
    packed_counts,
)
from megabase.pipelines.variant_table import (
    NAMES,
    Survey,
    count_skipped,
    info_entries,
    info_fields,
    skipped_text,
    survey,
    table_columns,
    table_rows,
)
from megabase.runtime.artifacts import Output, check_no_input, check_place
from megabase.runtime.environment import file_sha256, stamp
from megabase.runtime.location import cache_folder, genome_path
from megabase.runtime.log import Meter, counted, progress

_log = logging.getLogger(__name__)

_MOST_IN_PART = 128  # records between saves, which an interruption may lose
_BASES_IN_PART = 1 << 17  # the most bases of a part, counting one window for each record
_TABLES = (".tsv", ".parquet")
_INDEXED = (".vcf.gz", ".bcf")
_SUFFIXES = (".vcf", *_INDEXED, *_TABLES)
_PREFIX = "megabase_"  # of the notes in the header or metadata of the output


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
    """Score every alternative allele of a VCF or BCF file; all records are kept, in order.

    Progress is saved: after an interruption the same request resumes.

    Parameters
    ----------
    model
        Folder, file or hub id of the model.
    genome
        FASTA or 2bit.
    source
        VCF, plain or compressed by gzip or bgzip; or BCF.
    output
        A ``.vcf``; a ``.vcf.gz``, compressed by bgzip, or a ``.bcf``, with an index; or a
        ``.tsv`` or ``.parquet``, a table with a row for each alternative allele.
    window
        Bases of a window; None: 1,024, or the context if that is shorter.
    strand
        ``average`` of both strands, or ``forward``.
    distance
        Whether to add the distance by which each allele moves the embedding.
    shard
        ``i/n``: process the i-th of every n records.
    chrom_map
        File of two columns: a contig's name in `source`, and in `genome`.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    max_memory_gib
        The most memory that the process may take on a CPU, in GiB; None: no limit.
    precision
        ``float32``, or ``bfloat16`` on a CPU.
    overwrite
        Whether an existing output may be replaced.

    Raises
    ------
    InputError
        If an input or option is invalid.
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
        _VariantWork(predictor, reference, vcf, contigs, request).write(place)


def _check_options(source: str, genome: str, output: Path, strand: str) -> None:
    strands_of(strand)
    if not output.name.endswith(_SUFFIXES):
        raise InputError(f"an output must end in one of {', '.join(_SUFFIXES)}; got {output}")
    if output.suffix == ".parquet":
        check_parquet()
    check_no_input(output, (Path(source), genome_path(genome)))
    if not Path(source).is_file():
        raise InputError(f"VCF file {source} does not exist; check the path")


class _VariantWork:
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
        """Score the records that are not done yet, then write the complete output."""
        is_indexed = place.path.name.endswith(_INDEXED)
        found = survey(self._vcf, self._reference, self._contigs, needs_order=is_indexed)
        if place.path.suffix == ".bcf":
            check_fits_bcf(self._vcf, replaced=NAMES)
        self._announce(found)
        device = (
            self._predictor.device.type
        )  # part of the request, because it decides the last bits
        with open_journal(place.path, {**self._request, "device": device}) as journal:
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
        """Count scored and skipped alleles, for the log, the header and the record file."""
        self._n_alleles, self._n_skipped = count_skipped(read_lines(body))
        _log.info(
            "%s alternative alleles; skipped: %s", f"{self._n_alleles:,}",
            skipped_text(self._n_skipped),
        )  # fmt: skip

    def _announce(self, found: Survey) -> None:
        """Log windows, memory and time of the shard."""
        window, strand = self._request["window"], self._request["strand"]
        n_strands = len(strands_of(strand))
        n_windows = n_strands * self._shard.size(found.n_records + found.n_alts)
        n = counted(n_windows, "window")
        _log.info("at most %s of %s bases; strand: %s", n, f"{window:,}", strand)
        if n_windows:
            plan = self._predictor.plan(longest=window, n_tokens=n_windows * window)
            _log.info("scoring: %s", plan)

    def _score(self, journal: Journal, meter: Meter) -> None:
        """Score the records that are not in the journal yet, a part at a time."""
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
        """Raise an InputError if the file changed since it was surveyed."""
        expected = self._shard.size(found.n_records)
        if journal.n_done != expected:
            raise InputError(
                f"{self._vcf.name} changed while it was read: expected {expected:,} records, got "
                f"{journal.n_done:,}; run again once it is complete"
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
        """Write header and records as VCF or BCF."""
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
        if found.n_before > 1:  # htslib takes a second record at POS 0 for unsorted
            bits = None
        write_vcf(plain, header, body, bgzip=False)
        with self._open_indexed(place, "" if bits is None else ".csi", found) as part:
            write_bcf(part, plain, index_shift=bits)

    @contextmanager
    def _open_indexed(self, place: Output, suffix: str, found: Survey) -> Generator[Path]:
        """Open an output with an index of this suffix; if there is no suffix, log the reason."""
        with self._open(place, *filter(None, [suffix])) as part:
            yield part
        for other in {".tbi", ".csi"} - {suffix}:  # indexes of a file that was replaced
            Path(f"{place.path}{other}").unlink(missing_ok=True)
        if not suffix:
            _log.warning(
                "%s has no index, because no format supports all of its records: %s", place.path,
                f"{found.not_in_index} is not a position" if found.not_in_index
                else f"some lie at POS 0 or end as far as {found.furthest:,}",
            )  # fmt: skip

    def _write_table(self, place: Output, body: Path, found: Survey) -> None:
        """Write a row for each alternative allele, with the scores in its record."""
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
        """Return the notes of the header: how the scores were computed."""
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
