"""Score every alternative allele of a VCF file, and write a VCF file or a table."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from megabase.errors import InputError, counted
from megabase.genome.reference import Reference
from megabase.inference.choices import strands_of
from megabase.inference.predictor import Predictor
from megabase.inference.scores import choose_window
from megabase.io.bcf import bcf_check, bits_of_index, with_contigs, write_bcf
from megabase.io.derived_files import file_sha256
from megabase.io.genome_file import open_reference, read_chrom_map
from megabase.io.tables import check_parquet, write_parquet, write_table
from megabase.io.vcf import (
    VcfFile,
    VcfRecord,
    extended_header,
    index_suffix,
    index_vcf,
    write_vcf,
)
from megabase.pipelines.pipeline import DEFAULTS, Pipeline, Request, RunOptions
from megabase.pipelines.variant_table import (
    NAMES,
    count_skipped,
    decode_scored,
    encode_scored,
    info_fields,
    skipped_text,
    survey,
    table_columns,
)
from megabase.runtime.artifacts import Output, check_no_input, check_place
from megabase.runtime.environment import stamp
from megabase.runtime.location import cache_folder, genome_path

_log = logging.getLogger(__name__)

_TABLES = (".tsv", ".parquet")
_INDEXED = (".vcf.gz", ".bcf")
_SUFFIXES = (".vcf", *_INDEXED, *_TABLES)
_PREFIX = "megabase_"  # of the notes in the header or metadata of the output


@dataclass(frozen=True, kw_only=True)
class VcfRequest(Request):
    """Everything that determines the output of `score_vcf`, whose parameters it has."""

    command: ClassVar[str] = "score-vcf"

    input: str
    genome: str
    window: int
    strand: str
    distance: bool
    contigs: Mapping[str, str]


def score_vcf(
    model: str,
    genome: str,
    source: str,
    output: Path,
    *,
    window: int | None = None,
    strand: str = "average",
    distance: bool = False,
    chrom_map: Path | None = None,
    options: RunOptions = DEFAULTS,
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
    chrom_map
        File of two columns: a contig's name in `source`, and in `genome`.
    options
        How to compute.

    Raises
    ------
    InputError
        If an input or option is invalid.
    """
    _check_options(source, genome, output, strand)
    contigs = {} if chrom_map is None else read_chrom_map(chrom_map)
    reference = open_reference(genome_path(genome), cache=cache_folder())
    check_place(output, is_folder=False)
    predictor = options.load(model)
    request = VcfRequest(
        model=predictor.weights_sha256,
        input=file_sha256(Path(source)),
        genome=file_sha256(genome_path(genome)),
        window=choose_window(window, predictor.context_length),
        strand=strand,
        distance=distance,
        contigs=contigs,
        **options.in_request(),
    )
    vcf = VcfFile(Path(source))
    place = Output(output, request.record(), is_folder=False, overwrite=options.overwrite)
    if not place.is_finished:
        work = _VariantScoring(predictor, reference, vcf, request, options, output)
        work.run(place)
        work.remove_other_indexes()


def _check_options(source: str, genome: str, output: Path, strand: str) -> None:
    strands_of(strand)
    if not output.name.endswith(_SUFFIXES):
        raise InputError(f"an output must end in one of {', '.join(_SUFFIXES)}; got {output}")
    if output.suffix == ".parquet":
        check_parquet()
    check_no_input(output, (Path(source), genome_path(genome)))
    if not Path(source).is_file():
        raise InputError(f"VCF file {source} does not exist; check the path")


class _VariantScoring(Pipeline[VcfRecord, VcfRequest]):
    """Records with the effects of their alleles, as `encode_scored` writes them.

    Parameters
    ----------
    predictor, reference, vcf
        The model, the genome and the variants.
    request, options
        What is computed, and how.
    output
        The file to write, whose suffix chooses the format.
    """

    title = "scoring"
    unit = "records"
    bases_in_part = 1 << 17  # counting one window for each record
    records_in_part = 128

    def __init__(
        self,
        predictor: Predictor,
        reference: Reference,
        vcf: VcfFile,
        request: VcfRequest,
        options: RunOptions,
        output: Path,
    ) -> None:
        super().__init__(request, options.shard, predictor.device.type)
        self._predictor, self._reference, self._vcf = predictor, reference, vcf
        self._output = output
        self._own_places = options.own_places(reference)
        self._n_strands = len(strands_of(request.strand))
        self._n_alleles, self._n_skipped = 0, Counter[str]()
        self._found = survey(
            vcf, reference, request.contigs, needs_order=output.name.endswith(_INDEXED),
            check=bcf_check(vcf, replaced=NAMES) if output.suffix == ".bcf" else None,
        )  # fmt: skip

    def announce(self, output: Path) -> None:
        del output
        found, window, strand = self._found, self.request.window, self.request.strand
        n_windows = self._n_strands * self.shard.size(found.n_records + found.n_alts)
        n = counted(n_windows, "window")
        _log.info("at most %s of %s bases; strand: %s", n, f"{window:,}", strand)
        if n_windows:
            plan = self._predictor.plan(longest=window, n_tokens=n_windows * window)
            _log.info("scoring: %s", plan)

    @property
    def total(self) -> int:
        return self.shard.size(self._found.n_records)

    def records(self) -> Iterator[VcfRecord]:
        return self.shard.of(self._vcf.records())

    def n_bases(self, record: VcfRecord) -> int:
        del record
        return self.request.window

    def n_units(self, record: VcfRecord) -> int:
        del record
        return 1

    def compute(self, part: Sequence[VcfRecord], advance: Callable[[int], None]) -> bytes:
        contigs = self.request.contigs
        effects = self._predictor.score_variants(
            self._reference,
            [record.site(contigs.get(record.contig, record.contig)) for record in part],
            window=self.request.window,
            both_strands=self._n_strands == 2,
            with_distance=self.request.distance,
            gaps_of=self._own_places,
        )
        encoded = encode_scored(part, effects)
        advance(len(part))
        return encoded

    def n_expected(self) -> int:
        return self.total

    def results(self, body: Path) -> dict[str, Any]:
        self._n_alleles, self._n_skipped = count_skipped(decode_scored(body))
        _log.info(
            "%s alternative alleles; skipped: %s", f"{self._n_alleles:,}",
            skipped_text(self._n_skipped),
        )  # fmt: skip
        return {"n_alleles": self._n_alleles, "n_skipped": dict(sorted(self._n_skipped.items()))}

    def lines_per_record(self, body: Path) -> Iterator[int]:
        is_table = self._output.suffix in _TABLES
        return (len(each.effects) if is_table else 1 for each in decode_scored(body))

    def companions(self) -> tuple[str, ...]:
        """Return the suffix of the index, if the format supports one of all records."""
        match self._output.suffix:
            case ".bcf":
                return () if self._index_shift() is None else (".csi",)
            case ".gz" if not self._found.not_in_index:
                return (index_suffix(self._longest()),)
            case _:
                return ()

    def _longest(self) -> int:
        """Return the length of the longest contig, or the last position of a record beyond it."""
        return max(*self._reference.lengths.values(), self._found.furthest)

    def _index_shift(self) -> int | None:
        if self._found.n_before > 1:  # htslib takes a second record at POS 0 for unsorted
            return None
        return bits_of_index(self._header(), self._found.furthest)

    def _header(self) -> list[str]:
        fields = info_fields(with_distance=self.request.distance)
        header = extended_header(
            self._vcf.header, fields, self._notes(), declared=NAMES, prefix=_PREFIX
        )
        if self._output.suffix == ".bcf":
            return with_contigs(header, self._found.contigs)
        return header

    def write(self, path: Path, body: Path) -> None:
        if path.suffix in _TABLES:
            self._write_table(path, body)
            return
        lines = (each.line(with_distance=self.request.distance) for each in decode_scored(body))
        if path.suffix == ".bcf":
            write_bcf(path, self._header(), lines, index_shift=self._index_shift())
            return
        write_vcf(path, self._header(), lines, bgzip=path.suffix == ".gz")
        for suffix in self.companions():
            index_vcf(path, Path(f"{path}{suffix}"), longest_contig=self._longest())

    def _write_table(self, path: Path, body: Path) -> None:
        """Write a row for each alternative allele."""
        if self._found.n_bare:
            _log.info("records without an alternative allele have no row: %s", self._found.n_bare)
        with_distance, is_parquet = self.request.distance, path.suffix == ".parquet"
        columns = table_columns(with_distance=with_distance)
        rows = (
            row
            for each in decode_scored(body)
            for row in each.rows(with_distance=with_distance, as_text=not is_parquet)
        )
        if is_parquet:
            notes = {f"{_PREFIX}{key}": value for key, value in self._notes().items()}
            write_parquet(path, columns, rows, notes)
        else:
            with path.open("w", encoding="utf-8") as file:
                write_table(file, list(columns), rows)

    def remove_other_indexes(self) -> None:
        """Remove indexes of a file that was replaced, and log why the output has no index."""
        if not self._output.name.endswith(_INDEXED):
            return
        written = self.companions()
        for other in {".tbi", ".csi"} - {*written}:
            Path(f"{self._output}{other}").unlink(missing_ok=True)
        if not written:
            found = self._found
            _log.warning(
                "%s has no index, because no format supports all of its records: %s", self._output,
                f"{found.not_in_index} is not a position" if found.not_in_index
                else f"some lie at POS 0 or end as far as {found.furthest:,}",
            )  # fmt: skip

    def _notes(self) -> dict[str, str]:
        """Return the notes of the header: how the scores were computed."""
        made = stamp()
        request = self.request
        return {
            "version": made["versions"]["megabase"],
            "model": f"sha256:{request.model}",
            "context": str(self._predictor.context_length),
            "window": str(request.window),
            "strand": request.strand,
            "precision": request.precision,
            "shard": str(self.shard),
            "alleles": str(self._n_alleles),
            "skipped": skipped_text(self._n_skipped),
            "command": made["command"],
        }
