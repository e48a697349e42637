"""FASTA, or BED with its genome, to a table of likelihoods or to a track of them."""

import logging
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.reference import Reference
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.inference.predictor import Predictor
from megabase.io.bed import BedRecord
from megabase.io.genome_file import open_reference
from megabase.io.table import write_table
from megabase.io.tracks import write_bedgraph
from megabase.jobs.regions import open_regions
from megabase.run.location import cache_folder, genome_path
from megabase.run.log import progress
from megabase.run.output import Output, check_no_input
from megabase.run.provenance import file_sha256

_log = logging.getLogger(__name__)

COLUMNS = ["name", "length", "n_scored", "log_likelihood", "bits_per_base"]
_TRACKS = (".bedgraph", ".bg")
_BED = (".bed", ".bed.gz")


def score(
    model: str,
    source: str,
    output: Path,
    *,
    genome: str | None = None,
    device: str = "auto",
    max_memory_gib: float | None = None,
    precision: str = "float32",
    overwrite: bool = False,
) -> None:
    """Score every sequence of a FASTA file, or every interval of a BED file.

    The output is a table with the columns of `COLUMNS`: the log-likelihood in nats of
    all bases but N, the first with probability 1/4, and the same in bits for each base.
    Where its name ends in .bedgraph or .bg it is a track of the log-likelihood of each
    base in its place.

    Parameters
    ----------
    model
        What `model.load` takes.
    source
        FASTA or 2bit; or BED, with `genome`.
    output
        The table or track.
    genome
        FASTA or 2bit that the intervals of a BED file are of.
    device, max_memory_gib, precision
        As of `Predictor`.
    overwrite
        Whether what is there may be replaced.

    Raises
    ------
    InputError
        If an input cannot be used, or a sequence is longer than the model's context.
    """
    check_no_input(output, map(genome_path, filter(None, (source, genome))))
    reference, records = _open(source, genome)
    predictor = Predictor.load(
        model, device=device, max_memory_gib=max_memory_gib, precision=precision
    )
    _check_lengths(records, predictor.context_length)
    is_track = output.suffix.lower() in _TRACKS
    if is_track:
        _check_apart(records)
    request = {
        "command": "score",
        "model": predictor.weights_sha256,
        "precision": precision,
        "input": file_sha256(genome_path(source)),
        "genome": file_sha256(genome_path(genome)) if genome else None,
    }
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if place.is_finished:
        return
    lengths = [len(record.interval) for record in records]
    _log.info("scoring: %s", predictor.plan(longest=max(lengths), n_tokens=sum(lengths)))
    letters = _Letters(reference)
    with progress(len(records), "scoring", "sequences") as meter, place.write() as file:
        values = predictor.log_likelihoods(map(letters.tokens, records))
        scored = (
            (record, each, meter.advance()) for record, each in zip(records, values, strict=True)
        )
        if is_track:
            for record, each, _ in scored:
                write_bedgraph(file, record.interval, _forward(record.interval, each))
        else:
            write_table(file, COLUMNS, (_row(record, each) for record, each, _ in scored))
    if letters.n_ambiguous:
        _log.info("%s ambiguous letters were read as N", f"{letters.n_ambiguous:,}")


def _open(source: str, genome: str | None) -> tuple[Reference, list[BedRecord]]:
    """Open the sequences, and say what of them is to be scored."""
    path = genome_path(source)
    if path.name.endswith(_BED):
        if genome is None:
            raise InputError(f"the intervals of {source} need the genome they are of: --genome")
        return open_regions(genome, path)
    if genome is not None:
        raise InputError(f"--genome goes with a BED file; {source} has its own letters")
    reference = open_reference(path, cache=cache_folder())
    contigs = reference.lengths.items()
    return reference, [BedRecord(Interval(name, 0, n), name) for name, n in contigs if n]


def _check_lengths(records: Sequence[BedRecord], context_length: int) -> None:
    longest = max(records, key=lambda record: len(record.interval))
    if len(longest.interval) > context_length:
        raise InputError(
            f"{longest.name} has {len(longest.interval):,} bp, and the model reads at most "
            f"{context_length:,} at once; score windows of it, as a BED file with --genome"
        )


def _check_apart(records: Sequence[BedRecord]) -> None:
    """Refuse intervals that overlap: a track has one value for each base."""
    ordered = sorted(record.interval for record in records)
    for before, after in pairwise(ordered):
        if before.overlaps(after):
            raise InputError(f"{before} and {after} overlap, and a track has one value a base")


class _Letters:
    """Reads and encodes records, and counts the ambiguous letters on the way."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self.n_ambiguous = 0

    def tokens(self, record: BedRecord) -> UInt8[np.ndarray, " length"]:
        letters = self._reference.fetch(record.interval)
        encoded = DNA_VOCABULARY.encode(letters, name=record.name)
        self.n_ambiguous += encoded.n_ambiguous
        return encoded.tokens


def _row(record: BedRecord, values: Float32[np.ndarray, " length"]) -> dict[str, object]:
    n_scored = int(np.count_nonzero(~np.isnan(values)))
    total = float(np.nansum(values, dtype=np.float64))
    bits = -total / (n_scored * math.log(2)) if n_scored else math.nan
    return dict(zip(COLUMNS, (record.name, len(values), n_scored, total, bits), strict=True))


def _forward(
    interval: Interval, values: Float32[np.ndarray, " length"]
) -> Float32[np.ndarray, " length"]:
    """Put values in the order of the forward strand."""
    return values[::-1] if interval.strand == "-" else values
