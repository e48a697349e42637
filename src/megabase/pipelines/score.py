"""Score the sequences of a FASTA, FASTQ or BED file: a table or a track of log-likelihoods."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.inference.choices import strands_of
from megabase.inference.predictor import Predictor
from megabase.inference.scores import sequence_score
from megabase.inference.windows import describe_windows, windows
from megabase.io.annotation import BedRecord
from megabase.io.tables import delimiter_to_write, write_table
from megabase.io.value_tracks import write_bedgraph
from megabase.pipelines.sequences import check_lengths, open_sequences
from megabase.runtime.artifacts import Output, check_no_input, check_place, exclusive_lock
from megabase.runtime.environment import file_sha256
from megabase.runtime.location import genome_path
from megabase.runtime.log import counted, progress

_log = logging.getLogger(__name__)

COLUMNS = ["name", "length", "n_scored", "log_likelihood", "bits_per_base"]
_TRACKS = (".bedgraph", ".bg")
_BYTES_A_BASE = 10  # measured: memory for each base and strand of a sequence being scored


def score(
    model: str,
    source: str,
    output: Path,
    *,
    genome: str | None = None,
    splice: bool = False,
    stride: int | None = None,
    strand: str = "forward",
    device: str = "auto",
    max_memory_gib: float | None = None,
    precision: str = "float32",
    overwrite: bool = False,
) -> None:
    """Score every sequence of a FASTA or FASTQ file, or every interval of a BED file.

    The output is a table with the columns `COLUMNS`: the log-likelihood in nats, summed over
    all bases except N, and its negative in bits per scored base. The first base has probability
    1/4. If the output's name ends in .bedgraph or .bg, it is a track of the log-likelihood of
    each base at its position. With a stride, a sequence longer than the context is read in
    overlapping windows, and each base is scored in the first window that reads it. One sequence
    is held in memory at a time.

    Parameters
    ----------
    model
        Folder, file or hub id of the model.
    source
        FASTA, FASTQ or 2bit; or BED, with `genome`.
    output
        The table or track to write.
    genome
        FASTA or 2bit genome of the intervals of a BED file.
    splice
        Whether the blocks of a BED12 file, or the exons of each transcript of a GTF or GFF3 file,
        are joined without the introns; the output must be a table.
    stride
        Bases between the starts of windows, from 1 to the context length; None: a sequence
        longer than the context is an error.
    strand
        ``forward``, the strand of the sequence or interval; or ``average`` of both strands.
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
        If an input or option is invalid, or a sequence is longer than the model's context and
        there is no stride.
    """
    check_no_input(output, map(genome_path, filter(None, (source, genome))))
    n_strands = len(strands_of(strand))
    is_track = output.suffix.lower() in _TRACKS
    if is_track and splice:
        raise InputError(
            f"{output} is a track, which has positions on the genome, and --splice joins exons; "
            "write a table (.tsv), or leave out --splice"
        )
    sequences = open_sequences(source, genome, splice=splice)
    records = sequences.records
    if is_track:
        _check_apart(records)
    held = _bytes_held(records, n_strands) if stride is not None else 0
    check_place(output, is_folder=False)
    predictor = Predictor.load(
        model,
        device=device,
        max_memory_gib=None if max_memory_gib is None else max_memory_gib - held / 2**30,
        precision=precision,
    )
    reading = _reading(records, predictor.context_length, stride)
    request = {
        "command": "score",
        "model": predictor.weights_sha256,
        "precision": precision,
        "input": file_sha256(genome_path(source)),
        "genome": file_sha256(genome_path(genome)) if genome else None,
        "stride": stride,
        "strand": strand,
        **({"splice": True} if splice else {}),
    }
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if place.is_finished:
        return
    delimiter = "" if is_track else delimiter_to_write(output)
    plan = predictor.plan(
        longest=reading.longest, n_tokens=n_strands * reading.n_tokens, n_bytes_held=held
    )
    _log.info("scoring: %s", plan)
    with (
        exclusive_lock(output, is_folder=False),
        progress(n_strands * reading.n_windows, "scoring", "windows") as meter,
        place.write(**reading.results) as file,
    ):
        values = predictor.log_likelihoods(
            sequences.all_tokens(), stride=stride, strand=strand, advance=meter.advance
        )
        scored = zip(records, values, strict=True)
        if is_track:
            for record, each in scored:
                write_bedgraph(file, record.interval, _forward(record.interval, each))
        else:
            rows = (_row(record, each) for record, each in scored)
            write_table(file, COLUMNS, rows, delimiter=delimiter)
    sequences.log_ambiguous()


class _SequenceReading(NamedTuple):
    """How much the model reads, for one strand.

    Parameters
    ----------
    longest
        Tokens of the longest window.
    n_tokens
        Tokens of all windows.
    n_windows
        Number of windows; a short sequence is one window.
    results
        Figures for the record file.
    """

    longest: int
    n_tokens: int
    n_windows: int
    results: dict[str, int]


def _reading(
    records: Sequence[BedRecord], context_length: int, stride: int | None
) -> _SequenceReading:
    """Return how the sequences are read, each whole or in windows."""
    lengths = [len(record.interval) for record in records]
    longest = max(lengths)
    if stride is None:
        check_lengths(
            records,
            context_length,
            mend="use --stride to read it in overlapping windows, or score windows of it, given as "
            "a BED file with --genome",
        )
        return _SequenceReading(longest, sum(lengths), len(lengths), {})
    n_windows = [len(windows(length, context_length, stride)) for length in lengths]
    n_long = sum(n > 1 for n in n_windows)
    if n_long:
        _log.info(
            "%s of %s longer than the context; %s", f"{n_long:,}",
            counted(len(lengths), "sequence is", "sequences are"),
            describe_windows(context_length, stride),
        )  # fmt: skip
    else:
        _log.info("no sequence is longer than the context: the stride has no effect")
    n_tokens = sum(
        n * min(length, context_length) for n, length in zip(n_windows, lengths, strict=True)
    )
    results = {"stride": stride, "least_context": context_length - stride, "n_cut": n_long}
    return _SequenceReading(min(longest, context_length), n_tokens, sum(n_windows), results)


def _bytes_held(records: Sequence[BedRecord], n_strands: int) -> int:
    """Return the bytes of the longest sequence and its values, without those of the model."""
    return _BYTES_A_BASE * n_strands * max(len(record.interval) for record in records)


def _check_apart(records: Sequence[BedRecord]) -> None:
    """Raise an InputError if intervals overlap, because a track has one value for each base."""
    if not all(record.interval.contig for record in records):
        raise InputError("a track needs a name for every sequence, and one has none; add it")
    ordered = sorted(record.interval for record in records)
    for before, after in pairwise(ordered):
        if before.overlaps(after):
            raise InputError(
                f"{before} and {after} overlap, and a track has one value for each base; write a "
                "table (.tsv)"
            )


def _row(record: BedRecord, values: Float32[np.ndarray, " length"]) -> dict[str, object]:
    found = sequence_score(values)
    row = (record.name, len(values), found.n_scored, found.log_likelihood, found.bits_per_base)
    return dict(zip(COLUMNS, row, strict=True))


def _forward(
    interval: Interval, values: Float32[np.ndarray, " length"]
) -> Float32[np.ndarray, " length"]:
    """Put values in the order of the forward strand."""
    return values[::-1] if interval.strand == "-" else values
