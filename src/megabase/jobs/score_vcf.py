"""VCF to VCF with a score for each alternative allele."""

import logging
import math
import shutil
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from megabase.errors import InputError
from megabase.genome.reference import Reference
from megabase.inference.predictor import Predictor
from megabase.inference.strands import STRANDS
from megabase.inference.variant_effect import (
    DEFAULT_WINDOW,
    SKIP_REASONS,
    VariantEffect,
    check_window,
)
from megabase.io.chrom_map import read_chrom_map
from megabase.io.genome_file import open_reference
from megabase.io.vcf import (
    InfoField,
    VcfFile,
    VcfRecord,
    encode_lines,
    extended_header,
    index_suffix,
    index_vcf,
    write_vcf,
)
from megabase.jobs.stream import Journal, Shard
from megabase.jobs.vcf_survey import Survey, survey
from megabase.run.location import cache_folder, genome_path
from megabase.run.log import Meter, progress
from megabase.run.output import Output, check_no_input, only_writer
from megabase.run.provenance import file_sha256, stamp

_log = logging.getLogger(__name__)

_RATIO = "log-likelihood of the alternative minus the reference allele, in nats, natural logarithm"
FIELDS = (
    InfoField("MB_LLR", "A", "Float", f"Of windows of equal length: {_RATIO}"),
    InfoField("MB_LLR_BASE", "A", "Float", f"Mean over the bases of each window: {_RATIO}"),
    InfoField("MB_LLR_FLANK", "A", "Float", f"Of the bases after the allele only: {_RATIO}"),
    InfoField(
        "MB_SKIP", "A", "String",
        "Why the allele has no score, . if it has one: "
        + "; ".join(f"{key} = {meaning}" for key, meaning in SKIP_REASONS.items()),
    ),
    InfoField(
        "MB_EDGE", "0", "Flag",
        "An end of the contig moved or shortened a window, or N of the genome make the two windows "
        "unlike in bases: of these MB_LLR_BASE compares better",
    ),
)  # fmt: skip
"""What is added to INFO."""

_NAMES = tuple(field.name for field in FIELDS)
_MOST_IN_PART = 128  # records that a kill may cost
_BASES_IN_PART = 1 << 17  # of one window for each record
_SUFFIXES = (".vcf.gz", ".vcf")


def score_vcf(
    model: str,
    genome: str,
    source: str,
    output: Path,
    *,
    window: int | None = None,
    strand: str = "average",
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
        VCF, plain or compressed by gzip or bgzip; BCF; or ``-`` for standard input.
    output
        A ``.vcf``; or a ``.vcf.gz``, compressed by bgzip, with its index.
    window
        Bases of a window; None for the lesser of the context length and `DEFAULT_WINDOW`.
    strand
        One of `inference.strands.STRANDS`.
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
    predictor = Predictor.load(
        model, device=device, max_memory_gib=max_memory_gib, precision=precision
    )
    n_window = min(predictor.context_length, DEFAULT_WINDOW) if window is None else window
    check_window(n_window, predictor.context_length)
    with _on_disk(source, output) as path:
        request = {
            "command": "score-vcf",
            "model": predictor.weights_sha256,
            "precision": precision,
            "input": file_sha256(path),
            "genome": file_sha256(genome_path(genome)),
            "window": n_window,
            "strand": strand,
            "shard": str(part),
            "contigs": contigs,
        }
        vcf = VcfFile(path, name="standard input" if source == "-" else source)
        place = Output(output, request, is_folder=False, overwrite=overwrite)
        if not place.is_finished:
            work = _Work(predictor, reference, vcf, contigs, request)
            work.write(place)


def _check_options(source: str, genome: str, output: Path, strand: str) -> None:
    if strand not in STRANDS:
        raise InputError(f"a strand is one of {', '.join(STRANDS)}; got {strand!r}")
    if not output.name.endswith(_SUFFIXES):
        raise InputError(f"an output ends in .vcf.gz or .vcf; got {output}")
    check_no_input(output, (Path(source), genome_path(genome)))
    if source != "-" and not Path(source).is_file():
        raise InputError(f"there is no VCF file {source}")


@contextmanager
def _on_disk(source: str, output: Path) -> Generator[Path]:
    """Give the path of the input; standard input is copied beside the output for so long."""
    if source != "-":
        yield Path(source)
        return
    folder = output.with_name(f".{output.name}.stdin.parts")
    with only_writer(folder):
        try:
            with (folder / "copy").open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            yield folder / "copy"
        finally:
            shutil.rmtree(folder)


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

    def write(self, place: Output) -> None:
        """Score what is not done yet, then put the whole in its place."""
        is_packed = place.path.name.endswith(".gz")
        found = survey(self._vcf, self._reference, self._contigs, needs_order=is_packed)
        self._announce(found)
        folder = place.path.with_name(f".{place.path.name}.parts")
        with only_writer(folder):
            device = self._predictor.device.type  # which decides the last bits
            journal = Journal(folder, {**self._request, "device": device})
            with progress(self._shard.size(found.n_records), "scoring", "records") as meter:
                try:
                    self._score(journal, meter)
                    self._check_all_there(journal, found)
                except InputError:  # a mended request is another one: what is done is of no use
                    journal.remove()
                    raise
            self._finish(place, journal.body, is_packed=is_packed)
            journal.remove()

    def _announce(self, found: Survey) -> None:
        """Tell windows, memory and time of the whole shard."""
        window, strand = self._request["window"], self._request["strand"]
        n_strands = len(STRANDS[strand])
        n_windows = n_strands * self._shard.size(found.n_records + found.n_alts)
        _log.info("at most %s windows of %s bases; strand: %s", n_windows, f"{window:,}", strand)
        if n_windows:
            plan = self._predictor.plan(longest=window, n_tokens=n_windows * window)
            _log.info("scoring: %s", plan)

    def _score(self, journal: Journal, meter: Meter) -> None:
        """Add the records that the journal lacks, a part at a time."""
        if journal.n_done:
            _log.info("%s records are done already", f"{journal.n_done:,}")
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
            both_strands=len(STRANDS[self._request["strand"]]) == 2,
        )
        for record, each in zip(records, effects, strict=True):
            yield record.with_info(_entries(each), _NAMES)

    def _finish(self, place: Output, body: Path, *, is_packed: bool) -> None:
        longest = max(self._reference.lengths.values())
        suffix = (index_suffix(longest),) if is_packed else ()
        header = extended_header(self._vcf.header, FIELDS, self._notes(), prefix="megabase_")
        with place.write_at(*suffix, device=self._predictor.device.type) as part:
            write_vcf(part, header, body, bgzip=is_packed)
            for each in suffix:
                index_vcf(part, Path(f"{part}{each}"), longest_contig=longest)

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
            "command": made["command"],
        }


def _entries(effects: Sequence[VariantEffect]) -> list[str]:
    """Write the INFO entries of a record; none where it has no alternative allele."""
    if not effects:
        return []
    numbers = ([e.log_likelihood_ratio, e.per_base, e.flank] for e in effects)
    entries = [
        f"{name}={','.join(map(_number, values))}"
        for name, values in zip(_NAMES, zip(*numbers, strict=True), strict=False)
    ]
    if any(e.skip_reason for e in effects):
        entries.append(f"MB_SKIP={','.join(e.skip_reason or '.' for e in effects)}")
    if any(e.is_at_edge for e in effects):
        entries.append("MB_EDGE")
    return entries


def _number(value: float) -> str:
    return "." if math.isnan(value) else f"{value:.6g}"
