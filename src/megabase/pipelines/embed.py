"""Embed the sequences of a file: FASTA, a table, or BED or VCF with a genome."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from megabase.data.sequence_table import SEQUENCE, SequenceTable
from megabase.errors import InputError
from megabase.inference.choices import EMBEDDING_STRANDS, Pooling, check_layer, strands_of
from megabase.inference.predictor import Predictor
from megabase.inference.scores import choose_window
from megabase.inference.windows import describe_windows, windows
from megabase.io.arrays import Layout, Rows, check_arrays, write_arrays
from megabase.io.compression import BCF, VCF, file_format
from megabase.io.genome_file import read_chrom_map
from megabase.io.tables import is_table
from megabase.io.vcf import VcfFile
from megabase.pipelines.pipeline import (
    LINES_PER_RECORD,
    Frames,
    Journal,
    Shard,
    encode_rows,
    open_journal,
    packed_counts,
)
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
from megabase.runtime.environment import file_sha256
from megabase.runtime.location import check_exists, genome_path
from megabase.runtime.log import Meter, counted, progress

_log = logging.getLogger(__name__)

DTYPES = ("float32", "float16")
"""Types of the numbers in the output."""

_VCF = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")
_BASES_IN_PART = 1 << 16  # bases between saves, which an interruption may lose
_LETTERS_OF_NAME = 64  # assumed length of a name, to estimate the size on disk


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
    shard: str = "1/1",
    dtype: str = "float32",
    device: str = "auto",
    max_memory_gib: float | None = None,
    precision: str = "float32",
    overwrite: bool = False,
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
    shard
        ``i/n``: process the i-th of every n records.
    dtype
        One of `DTYPES`.
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
        If an input or option is invalid, a number is too large for the dtype, or the disk is
        too small.
    """
    part, pool = Shard.from_text(shard), Pooling.from_text(pooling)
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
    of_table = {key: value for key, value in of_table.items() if value is not None}
    is_of_alleles = is_vcf and not of_table
    if is_of_alleles:
        entries_of = _alleles(source, genome, contigs)
    else:
        entries_of = _sequences(source, genome, stride, of_table, splice=splice)
    check_place(output, is_folder=False)
    predictor = Predictor.load(
        model, device=device, max_memory_gib=max_memory_gib, precision=precision
    )
    context = predictor.context_length
    window = choose_window(window, context) if is_of_alleles else window
    entries = entries_of(window or context)
    request = {
        "command": "embed",
        "model": predictor.weights_sha256,
        "precision": precision,
        "input": file_sha256(inputs[0]),
        "genome": file_sha256(inputs[1]) if genome else None,
        "layer": check_layer(layer, predictor.language.config.n_layer),
        "pooling": str(pool),
        "strand": strand,
        "stride": stride,
        "window": window,
        "contigs": contigs,
        "shard": str(part),
        "dtype": dtype,
        **({"splice": True} if splice else {}),
    } | of_table
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if not place.is_finished:
        _EmbeddingWork(predictor, entries, request).write(place)


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
                mend="--stride cuts it into windows (half the context is usual)",
            )
        return SequenceEntries(sequences)

    return entries


def _check_stride(context: int, stride: int | None) -> int | None:
    """Raise an InputError if a stride is invalid; return the longest length, None with a stride."""
    if stride is None:
        return context
    windows(1, context, stride)  # raises if the stride is out of range
    return None


def _alleles(
    source: str, genome: str | None, contigs: Mapping[str, str]
) -> Callable[[int], Entries]:
    """Open variants and their genome; return a function that cuts windows of a given length."""
    vcf = VcfFile(Path(source))
    if genome is None:
        raise InputError(f"the variants of {source} need their genome; give it by --genome")
    reference = open_genome(genome)
    return lambda window: AlleleEntries(vcf, reference, contigs, window)


class _Extent(NamedTuple):
    """Size of a shard: records, entries, length of the longest, tokens to read, rows to write."""

    n_records: int
    n_entries: int
    longest: int
    n_tokens: int
    n_rows: int


class _EmbeddingWork:
    """One input to be embedded with one model."""

    def __init__(self, predictor: Predictor, entries: Entries, request: Mapping[str, Any]) -> None:
        self._predictor = predictor
        self._entries = entries
        self._request = request
        self._pooling = Pooling.from_text(request["pooling"])
        self._shard = Shard.from_text(request["shard"])
        self._dtype = np.dtype(request["dtype"])
        self._strands = EMBEDDING_STRANDS[request["strand"]]
        n_sides = 2 if request["strand"] == "both" else 1
        self._n_channels = n_sides * predictor.language.config.d_model

    def write(self, place: Output) -> None:
        """Embed the records that are not done yet, then write the complete output."""
        extent = self._measure()
        self._announce(extent, parts_folder(place.path))
        device = self._predictor.device.type
        with open_journal(place.path, {**self._request, "device": device}) as journal:
            with progress(extent.n_tokens, "embedding", "bp read") as meter:
                self._fill(journal, meter)
            frames = Frames(journal.body, self._n_channels, self._dtype)
            layout = self._layout(frames)
            reasons = Counter(each for rows in frames.heads() for each in rows.skip_reasons if each)
            if self._entries.has_reasons:
                _log.info(
                    "%s rows; skipped, with NaN and a skip_reason: %s", f"{layout.n_rows:,}",
                    skipped_text(reasons),
                )  # fmt: skip
            shard = {}
            if self._shard.count > 1:
                records = self._shard.of(self._entries.records())
                shard[LINES_PER_RECORD] = packed_counts(len(record.lengths) for record in records)
            with place.write_at(
                **shard,
                n_sequences=layout.n_sequences,
                n_rows=layout.n_rows,
                n_skipped=reasons.total(),
                skip_reasons=dict(sorted(reasons.items())),
                device=device,
            ) as path:
                write_arrays(path, layout, frames.__iter__)
            self._entries.tell()

    def _n_read(self, length: int) -> int:
        """Return the tokens that are read for a sequence, on all strands."""
        context = self._predictor.context_length
        found = windows(length, context, self._request["stride"] or context)
        return len(self._strands) * sum(window.end - window.start for window in found)

    def _measure(self) -> _Extent:
        counts: Counter[int] = Counter()
        n_records = 0
        for record in self._shard.of(self._entries.records()):
            n_records += 1
            counts.update(record.lengths)
        return _Extent(
            n_records=n_records,
            n_entries=counts.total(),
            longest=max(counts, default=0),
            n_tokens=sum(n * self._n_read(length) for length, n in counts.items()),
            n_rows=sum(n * self._pooling.n_rows(length) for length, n in counts.items()),
        )

    def _announce(self, extent: _Extent, folder: Path) -> None:
        """Log memory, time and size; raise an InputError if the disk is too small."""
        if not extent.n_entries:
            _log.info("shard %s has no records: the output has no rows", self._shard)
            return
        context, stride = self._predictor.context_length, self._request["stride"]
        per_row = self._n_channels * self._dtype.itemsize
        rows_held = self._pooling.n_rows(extent.longest + _BASES_IN_PART)
        plan = self._predictor.plan(
            longest=min(extent.longest, context),
            at_once=1,
            n_tokens=extent.n_tokens,
            n_blocks=self._request["layer"],
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
        n_done = sum(file.stat().st_size for file in folder.glob("*"))
        there = next(place for place in folder.absolute().parents if place.exists())
        free = shutil.disk_usage(there).free
        if 2 * n_bytes - n_done > free:
            raise InputError(
                f"the output takes about {_size(n_bytes)}, and twice as much until it is complete, "
                f"but the disk of {there} has {_size(free)} free; choose another disk, --pooling "
                "mean, --dtype float16, or a --shard"
            )

    def _fill(self, journal: Journal, meter: Meter) -> None:
        """Embed the records that are not in the journal yet, a part at a time."""
        records = self._shard.of(self._entries.records())
        if journal.n_done:
            _log.info("%s done already", counted(journal.n_done, "record is", "records are"))
            done = islice(records, journal.n_done)
            meter.skip(sum(self._n_read(length) for record in done for length in record.lengths))
        for part in _parts(records):
            found = [entry for record in part for entry in record.read()]
            journal.append(encode_rows(self._embedded(found, meter)), len(part))

    def _embedded(self, entries: Sequence[EmbeddingEntry], meter: Meter) -> Rows:
        """Embed some entries; an entry without tokens gets one row of NaN."""
        answers = self._predictor.embed(
            (entry.tokens for entry in entries if entry.tokens is not None),
            layer=self._request["layer"],
            pooling=self._pooling,
            strand=self._request["strand"],
            stride=self._request["stride"],
            on_tokens=meter.advance,
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
            notes=self._request,
        )


def _parts(records: Iterator[EntryRecord]) -> Iterator[list[EntryRecord]]:
    """Group consecutive records into parts of `_BASES_IN_PART` bases or slightly more."""
    part: list[EntryRecord] = []
    n_bases = 0
    for record in records:
        part.append(record)
        n_bases += sum(record.lengths)
        if n_bases >= _BASES_IN_PART:
            yield part
            part, n_bases = [], 0
    if part:
        yield part


def _size(n_bytes: int) -> str:
    """Format a size in GiB, MiB or KiB."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes / 1024:,.1f} KiB"
