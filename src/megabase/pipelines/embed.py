"""Embed the sequences of a file: FASTA, a table, or BED or VCF with a genome."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from megabase.errors import InputError, counted
from megabase.inference.choices import EMBEDDING_STRANDS, Pooling, check_layer, strands_of
from megabase.inference.predictor import Predictor
from megabase.inference.scores import choose_window
from megabase.inference.windows import describe_windows, windows
from megabase.io.arrays import Layout, Rows, check_arrays, write_arrays
from megabase.io.compression import BCF, VCF, file_format
from megabase.io.derived_files import file_sha256
from megabase.io.genome_file import read_chrom_map
from megabase.io.sequence_table import SEQUENCE, SequenceTable
from megabase.io.tables import is_table
from megabase.io.vcf import VcfFile
from megabase.ops.memory import Gaps
from megabase.pipelines.pipeline import DEFAULTS, Frames, Pipeline, Request, RunOptions, encode_rows
from megabase.pipelines.sequences import (
    AlleleEntries,
    EmbeddingEntry,
    Entries,
    EntryRecord,
    SequenceEntries,
    TableEntries,
    check_lengths,
    open_genome,
    open_sequences,
)
from megabase.pipelines.variant_table import skipped_text
from megabase.runtime.artifacts import Output, check_no_input, check_place, parts_folder
from megabase.runtime.location import check_exists, genome_path

_log = logging.getLogger(__name__)

DTYPES = ("float32", "float16")
"""Types of the numbers in the output."""

_VCF = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")
_LETTERS_OF_NAME = 64  # assumed length of a name, to estimate the size on disk


@dataclass(frozen=True, kw_only=True)
class EmbeddingRequest(Request):
    """Everything that determines the output of `embed`, whose parameters it has."""

    command: ClassVar[str] = "embed"

    input: str
    genome: str | None
    layer: int
    pooling: str
    strand: str
    stride: int | None
    window: int | None
    contigs: Mapping[str, str]
    dtype: str
    splice: bool = False
    sequence_column: str | None = None
    delimiter: str | None = None


def embed(
    model: str,
    source: str,
    output: Path,
    *,
    genome: str | None = None,
    splice: bool = False,
    layer: int | None = None,
    pooling: str = "mean",
    strand: str = "average",
    stride: int | None = None,
    window: int | None = None,
    chrom_map: Path | None = None,
    sequence_column: str | None = None,
    delimiter: str | None = None,
    dtype: str = "float32",
    options: RunOptions = DEFAULTS,
) -> None:
    """Write the embedding of every sequence, interval, or allele of a file.

    Progress is saved: after an interruption the same request resumes.

    Parameters
    ----------
    model
        Folder, file or hub id of the model.
    source
        FASTA, FASTQ, 2bit, or a table as `SequenceTable` reads it; or BED, VCF or BCF, with
        `genome`.
    output
        The file to write: ``.npz``, ``.h5``, ``.hdf5`` or ``.parquet``.
    genome
        FASTA or 2bit genome of the intervals or variants.
    splice
        Whether the blocks of a BED12 file, or the exons of each transcript of a GTF or GFF3 file,
        are joined without the introns.
    layer
        0 for the embedding of the letters, k for the output of block k; None: the last layer.
    pooling
        ``mean``, ``max``, ``last``, ``centre``, ``none`` or ``window:W``; see `Pooling`.
    strand
        ``forward``; ``average``, the mean of both strands; or ``both``, side by side.
    stride
        Bases between the starts of windows, for a sequence longer than the context; None:
        such a sequence is an error.
    window
        Bases of the window around a variant; None: 1,024, or the context if that is shorter.
    chrom_map
        File of two columns: a contig's name in the VCF file, and in the genome.
    sequence_column
        Column of a table that has the sequences; None: ``sequence``.
    delimiter
        Delimiter of a table; None: detected from its first line.
    dtype
        One of `DTYPES`.
    options
        How to compute.

    Raises
    ------
    InputError
        If an input or option is invalid, a number is too large for the dtype, or the disk is
        too small.
    """
    pool = Pooling.from_text(pooling)
    strands_of(strand, EMBEDDING_STRANDS)
    if dtype not in DTYPES:
        raise InputError(f"the dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    check_arrays(output)
    inputs = [genome_path(each) for each in (source, genome) if each is not None]
    check_no_input(output, inputs)
    for each in inputs:
        check_exists(each, "file")
    contigs = {} if chrom_map is None else read_chrom_map(chrom_map)
    is_vcf = source.endswith(_VCF) or (inputs[0].is_file() and file_format(inputs[0]) in (VCF, BCF))
    _check_goes_with(
        is_vcf=is_vcf, stride=stride, window=window, chrom_map=chrom_map, splice=splice
    )
    of_table = {"sequence_column": sequence_column, "delimiter": delimiter}
    of_table: dict[str, Any] = {key: each for key, each in of_table.items() if each is not None}
    is_of_alleles = is_vcf and not of_table
    if is_of_alleles:
        entries_of = _alleles(source, genome, contigs, options)
    else:
        entries_of = _sequences(source, genome, stride, of_table, options, splice=splice)
    check_place(output, is_folder=False)
    predictor = options.load(model)
    context = predictor.context_length
    window = choose_window(window, context) if is_of_alleles else window
    entries = entries_of(window or context)
    request = EmbeddingRequest(
        model=predictor.weights_sha256,
        input=file_sha256(inputs[0]),
        genome=file_sha256(inputs[1]) if genome else None,
        layer=check_layer(layer, predictor.language.config.n_layer),
        pooling=str(pool),
        strand=strand,
        stride=stride,
        window=window,
        contigs=contigs,
        dtype=dtype,
        splice=splice,
        **options.in_request() | of_table,
    )
    place = Output(output, request.record(), is_folder=False, overwrite=options.overwrite)
    if not place.is_finished:
        _Embedding(predictor, entries, request, options).run(place)
        entries.tell()


def _check_goes_with(
    *,
    is_vcf: bool,
    stride: int | None,
    window: int | None,
    chrom_map: Path | None,
    splice: bool,
) -> None:
    """Raise an InputError for an option that does not apply to the kind of input."""
    if is_vcf and splice:
        raise InputError("--splice goes with BED12, GTF or GFF3; leave it out for a VCF file")
    if is_vcf and stride is not None:
        raise InputError("--stride goes with FASTA or BED; for VCF or BCF give --window")
    for name, value in (("--window", window), ("--chrom-map", chrom_map)):
        if not is_vcf and value is not None:
            raise InputError(f"{name} goes with a VCF file; leave it out")


def _sequences(
    source: str,
    genome: str | None,
    stride: int | None,
    of_table: Mapping[str, str],
    options: RunOptions,
    *,
    splice: bool,
) -> Callable[[int], Entries]:
    """Open sequences; return a function that checks them against the context of the model."""
    path = genome_path(source)
    if not splice and path.is_file() and is_table(path):
        reference = None if genome is None else open_genome(genome)
        table = SequenceTable(
            path,
            reference=reference,
            sequence_column=of_table.get("sequence_column", SEQUENCE),
            delimiter=of_table.get("delimiter"),
        )
        return lambda context: TableEntries(table, _check_stride(context, stride))
    if of_table:
        named = ", ".join(f"--{key.replace('_', '-')}" for key in of_table)
        raise InputError(
            f"{named} goes with a table (CSV, TSV or Parquet), and {source} is not one"
        )
    sequences = open_sequences(source, genome, splice=splice)

    def entries(context: int) -> Entries:
        if (limit := _check_stride(context, stride)) is not None:
            check_lengths(
                sequences.records,
                limit,
                remedy="--stride cuts it into windows (half the context is usual)",
            )
        return SequenceEntries(sequences, options.opened_index)

    return entries


def _check_stride(context: int, stride: int | None) -> int | None:
    """Raise an InputError if a stride is invalid; return the longest length, None with a stride."""
    if stride is None:
        return context
    windows(1, context, stride)  # raises if the stride is out of range
    return None


def _alleles(
    source: str, genome: str | None, contigs: Mapping[str, str], options: RunOptions
) -> Callable[[int], Entries]:
    """Open variants and their genome; return a function that cuts windows of a given length."""
    vcf = VcfFile(Path(source))
    if genome is None:
        raise InputError(f"the variants of {source} need their genome; give it by --genome")
    reference = open_genome(genome)
    own_places = options.own_places(reference)
    return lambda window: AlleleEntries(vcf, reference, contigs, window, own_places)


class _Extent(NamedTuple):
    """Size of a shard: entries, length of the longest, tokens to read, rows to write."""

    n_entries: int
    longest: int
    n_tokens: int
    n_rows: int


class _Embedding(Pipeline[EntryRecord, EmbeddingRequest]):
    """Frames of rows, as `encode_rows` writes them."""

    title = "embedding"
    unit = "bp read"
    bases_in_part = 1 << 16

    def __init__(
        self,
        predictor: Predictor,
        entries: Entries,
        request: EmbeddingRequest,
        options: RunOptions,
    ) -> None:
        super().__init__(request, options.shard, predictor.device.type)
        self._predictor = predictor
        self._entries = entries
        self._pooling = Pooling.from_text(request.pooling)
        self._dtype = np.dtype(request.dtype)
        self._strands = EMBEDDING_STRANDS[request.strand]
        n_sides = 2 if request.strand == "both" else 1
        self._n_channels = n_sides * predictor.language.config.d_model
        self._extent = self._measure()

    @property
    def total(self) -> int:
        return self._extent.n_tokens

    def records(self) -> Iterator[EntryRecord]:
        return self.shard.of(self._entries.records())

    def n_bases(self, record: EntryRecord) -> int:
        return sum(record.lengths)

    def n_units(self, record: EntryRecord) -> int:
        return sum(map(self._n_read, record.lengths))

    def _n_read(self, length: int) -> int:
        """Return the tokens that are read for a sequence, on all strands."""
        context = self._predictor.context_length
        found = windows(length, context, self.request.stride or context)
        return len(self._strands) * sum(window.end - window.start for window in found)

    def _measure(self) -> _Extent:
        counts: Counter[int] = Counter()
        for record in self.records():
            counts.update(record.lengths)
        return _Extent(
            n_entries=counts.total(),
            longest=max(counts, default=0),
            n_tokens=sum(n * self._n_read(length) for length, n in counts.items()),
            n_rows=sum(n * self._pooling.n_rows(length) for length, n in counts.items()),
        )

    def announce(self, output: Path) -> None:
        extent = self._extent
        if not extent.n_entries:
            _log.info("shard %s has no records: the output has no rows", self.shard)
            return
        context, stride = self._predictor.context_length, self.request.stride
        per_row = self._n_channels * self._dtype.itemsize
        rows_held = self._pooling.n_rows(extent.longest + self.bases_in_part)
        plan = self._predictor.plan(
            longest=min(extent.longest, context),
            n_tokens=extent.n_tokens,
            n_blocks=self.request.layer,
            # float32 rows: one array per strand, the joined rows, a part and its converted copy
            n_bytes_held=(len(self._strands) + 3) * rows_held * self._n_channels * 4,
        )
        _log.info("embedding: %s", plan)
        if stride is not None and extent.longest > context:
            _log.info("%s of a sequence", describe_windows(context, stride))
        n_bytes = extent.n_rows * per_row + extent.n_entries * _LETTERS_OF_NAME
        _log.info(
            "the output: %s of %d numbers in %s, about %s on disk, and twice as much "
            "until it is complete",
            counted(extent.n_rows, "row"), self._n_channels, self._dtype, _size(n_bytes),
        )  # fmt: skip
        # Saved parts and the output exist together; space of parts that are saved is taken already.
        folder = parts_folder(output)
        n_done = sum(file.stat().st_size for file in folder.glob("*"))
        there = next(place for place in folder.absolute().parents if place.exists())
        free = shutil.disk_usage(there).free
        if 2 * n_bytes - n_done > free:
            raise InputError(
                f"the output takes about {_size(n_bytes)}, and twice as much until it is complete, "
                f"but the disk of {there} has {_size(free)} free; choose another disk, --pooling "
                "mean, --dtype float16, or a --shard"
            )

    def compute(self, part: Sequence[EntryRecord], advance: Callable[[int], None]) -> bytes:
        entries = [entry for record in part for entry in record.read()]
        read = sum(self._n_read(len(each.tokens)) for each in entries if each.tokens is not None)
        encoded = encode_rows(self._embedded(entries, advance))
        advance(sum(map(self.n_units, part)) - read)  # of the entries that were skipped
        return encoded

    def _embedded(
        self, entries: Sequence[EmbeddingEntry], on_tokens: Callable[[int], None]
    ) -> Rows:
        """Embed some entries; an entry without tokens gets one row of NaN."""
        read = [entry for entry in entries if entry.tokens is not None]

        def gaps_of(number: int, start: int, end: int) -> Gaps:
            gaps = read[number].gaps
            return () if gaps is None else gaps(start, end)

        answers = self._predictor.embed(
            (entry.tokens for entry in read if entry.tokens is not None),
            layer=self.request.layer,
            pooling=self._pooling,
            strand=self.request.strand,
            stride=self.request.stride,
            on_tokens=on_tokens,
            gaps_of=None if self.request.index is None else gaps_of,
        )
        nothing = np.full(self._n_channels, np.nan, dtype=np.float32)
        rows = [
            np.atleast_2d(nothing if entry.tokens is None else next(answers)) for entry in entries
        ]
        values = np.concatenate([np.empty((0, self._n_channels), np.float32), *rows])
        with np.errstate(over="ignore"):
            written = values.astype(self._dtype)
        if np.isinf(written).any():
            raise InputError(f"a number is too large for {self._dtype}; use --dtype float32")
        return Rows(
            [entry.name for entry in entries],
            [len(each) for each in rows],
            [entry.skip_reason for entry in entries],
            written,
        )

    def lines_per_record(self, body: Path) -> Iterator[int]:
        del body
        return (len(record.lengths) for record in self.records())

    def results(self, body: Path) -> dict[str, Any]:
        frames = self._frames(body)
        layout = self._layout(frames)
        reasons = Counter(each for rows in frames.heads() for each in rows.skip_reasons if each)
        if self._entries.has_reasons:
            _log.info(
                "%s rows; skipped, with NaN and a skip_reason: %s", f"{layout.n_rows:,}",
                skipped_text(reasons),
            )  # fmt: skip
        return {
            "n_sequences": layout.n_sequences,
            "n_rows": layout.n_rows,
            "n_skipped": reasons.total(),
            "skip_reasons": dict(sorted(reasons.items())),
        }

    def write(self, path: Path, body: Path) -> None:
        frames = self._frames(body)
        write_arrays(path, self._layout(frames), frames.__iter__)

    def _frames(self, body: Path) -> Frames:
        return Frames(body, self._n_channels, self._dtype)

    def _layout(self, frames: Frames) -> Layout:
        n_sequences = n_rows = longest_name = longest_reason = 0
        for rows in frames.heads():
            n_sequences += len(rows.names)
            n_rows += sum(rows.counts)
            longest_name = max([longest_name, *map(len, rows.names)])
            longest_reason = max([longest_reason, *map(len, rows.skip_reasons)])
        return Layout(
            n_sequences=n_sequences,
            n_rows=n_rows,
            n_channels=self._n_channels,
            dtype=str(self._dtype),
            longest_name=longest_name,
            longest_reason=longest_reason,
            bp_per_row=self._pooling.width,
            has_reasons=self._entries.has_reasons,
            notes=self.request.record(),
        )


def _size(n_bytes: int) -> str:
    """Format a size in GiB, MiB or KiB."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes / 1024:,.1f} KiB"
