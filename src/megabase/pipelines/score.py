"""Score the sequences of a FASTA, FASTQ or BED file: a table or a track of log-likelihoods."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float32

from megabase.errors import InputError, counted
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.inference.choices import join_strands, strands_of
from megabase.inference.predictor import Predictor
from megabase.inference.scores import sequence_score
from megabase.inference.windows import Window, describe_windows, windows
from megabase.io.annotation import BedRecord
from megabase.io.derived_files import file_sha256
from megabase.io.tables import delimiter_to_write, write_table
from megabase.io.value_tracks import write_bedgraph
from megabase.ops.memory import Gaps
from megabase.pipelines.pipeline import DEFAULTS, Pipeline, Request, RunOptions
from megabase.pipelines.sequences import SequenceInput, check_lengths, open_sequences
from megabase.runtime.artifacts import Output, check_no_input, check_place
from megabase.runtime.location import genome_path

_log = logging.getLogger(__name__)

COLUMNS = ["name", "length", "n_scored", "log_likelihood", "bits_per_base"]
_TRACKS = (".bedgraph", ".bg")
_BYTES_A_BASE = 10  # measured: memory for each base and strand of a sequence being scored


@dataclass(frozen=True, kw_only=True)
class ScoreRequest(Request):
    """Everything that determines the output of `score`, whose parameters it has."""

    command: ClassVar[str] = "score"

    input: str
    genome: str | None
    stride: int | None
    strand: str
    splice: bool = False


def score(
    model: str,
    source: str,
    output: Path,
    *,
    genome: str | None = None,
    splice: bool = False,
    stride: int | None = None,
    strand: str = "forward",
    options: RunOptions = DEFAULTS,
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
    options
        How to compute.

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
    if is_track:
        _check_apart(sequences.records)
    held = _BYTES_A_BASE * n_strands * max(len(each.interval) for each in sequences.records)
    if stride is None:
        held = 0
    check_place(output, is_folder=False)
    predictor = options.load(model, n_bytes_held=held)
    _check_readable(sequences.records, predictor.context_length, stride)
    request = ScoreRequest(
        model=predictor.weights_sha256,
        input=file_sha256(genome_path(source)),
        genome=file_sha256(genome_path(genome)) if genome else None,
        stride=stride,
        strand=strand,
        splice=splice,
        **options.in_request(),
    )
    place = Output(output, request.record(), is_folder=False, overwrite=options.overwrite)
    if place.is_finished:
        return
    delimiter = "" if is_track else delimiter_to_write(output)
    _Scoring(predictor, sequences, request, options, delimiter, held).run(place)
    sequences.log_ambiguous()


class _Piece(NamedTuple):
    """Consecutive windows of a strand of a sequence, which is given by its index."""

    number: int
    strand: str
    windows: list[Window]


class _Scoring(Pipeline[_Piece, ScoreRequest]):
    """Log-likelihoods (float32) of all bases of a sequence, strand by strand, in reading order.

    Parameters
    ----------
    predictor, sequences
        The model and the input.
    request, options
        What is computed, and how.
    delimiter
        Delimiter of the table; empty for a track.
    n_bytes_held
        Bytes of a sequence and its values in main memory.
    """

    title = "scoring"
    unit = "windows"

    def __init__(
        self,
        predictor: Predictor,
        sequences: SequenceInput,
        request: ScoreRequest,
        options: RunOptions,
        delimiter: str,
        n_bytes_held: int,
    ) -> None:
        super().__init__(request, options.shard, predictor.device.type)
        self._predictor, self._sequences = predictor, sequences
        self._strands = strands_of(request.strand)
        self._delimiter, self._n_bytes_held = delimiter, n_bytes_held
        index = options.opened_index
        self._gaps_of = None if index is None else sequences.gaps_in(index)
        self._numbers = list(self.shard.of(range(len(sequences.records))))
        self._read: tuple[int, TokenArray] | None = None

    def announce(self, output: Path) -> None:
        del output
        if not self._numbers:
            _log.info("shard %s has no sequences: the output has no rows", self.shard)
            return
        lengths = [w.end - w.start for piece in self.records() for w in piece.windows]
        plan = self._predictor.plan(
            longest=max(lengths), n_tokens=sum(lengths), n_bytes_held=self._n_bytes_held
        )
        _log.info("scoring: %s", plan)

    def _windows(self, number: int) -> list[Window]:
        length, context = self._length(number), self._predictor.context_length
        return windows(
            length, context, context if self.request.stride is None else self.request.stride
        )

    def _length(self, number: int) -> int:
        return len(self._sequences.records[number].interval)

    @property
    def total(self) -> int:
        return len(self._strands) * sum(len(self._windows(number)) for number in self._numbers)

    def records(self) -> Iterator[_Piece]:
        size = max(1, self.bases_in_part // self._predictor.context_length)
        for number in self._numbers:
            found = self._windows(number)
            for strand in self._strands:
                for start in range(0, len(found), size):
                    yield _Piece(number, strand, found[start : start + size])

    def n_bases(self, record: _Piece) -> int:
        return sum(window.end - window.start for window in record.windows)

    def n_units(self, record: _Piece) -> int:
        return len(record.windows)

    def compute(self, part: Sequence[_Piece], advance: Callable[[int], None]) -> bytes:
        every = [window for piece in part for window in piece.windows]
        gaps = None if self._gaps_of is None else self._gaps(part, self._gaps_of)
        values = self._predictor.log_likelihoods(self._cut(part), advance=advance, gaps=gaps)
        return b"".join(
            found[window.first - window.start :].tobytes()
            for window, found in zip(every, values, strict=True)
        )

    def _cut(self, part: Sequence[_Piece]) -> Iterator[TokenArray]:
        for piece in part:
            tokens = self._tokens(piece.number)
            if piece.strand == "-":
                tokens = DNA_VOCABULARY.reverse_complement(tokens)
            yield from (tokens[window.start : window.end] for window in piece.windows)

    def _gaps(
        self, part: Sequence[_Piece], gaps_of: Callable[[int, int, int], Gaps]
    ) -> Iterator[Gaps]:
        for piece in part:
            length = self._length(piece.number)
            for window in piece.windows:
                start, end = window.start, window.end
                if piece.strand == "-":
                    start, end = length - end, length - start
                yield gaps_of(piece.number, start, end)

    def _tokens(self, number: int) -> TokenArray:
        """Read a sequence; it is kept, because its next piece comes next."""
        if self._read is None or self._read[0] != number:
            self._read = number, self._sequences.tokens(number)
        return self._read[1]

    def results(self, body: Path) -> dict[str, int]:
        del body
        if self.request.stride is None:
            return {}
        n_cut = sum(len(self._windows(number)) > 1 for number in self._numbers)
        least = self._predictor.context_length - self.request.stride
        return {"stride": self.request.stride, "least_context": least, "n_cut": n_cut}

    def lines_per_record(self, body: Path) -> Iterator[int]:
        for _, values in self._scored(body):
            yield 1 if self._delimiter else int(np.count_nonzero(~np.isnan(values)))

    def write(self, path: Path, body: Path) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            if self._delimiter:
                rows = (_row(record, values) for record, values in self._scored(body))
                write_table(file, COLUMNS, rows, delimiter=self._delimiter)
                return
            for record, values in self._scored(body):
                write_bedgraph(file, record.interval, _forward(record.interval, values))

    def _scored(self, body: Path) -> Iterator[tuple[BedRecord, Float32[np.ndarray, " length"]]]:
        """Yield each sequence with the log-likelihoods of its bases, averaged over strands."""
        with body.open("rb") as file:
            strands = (
                _floats(file, self._length(number)) for number in self._numbers
                for _ in self._strands
            )  # fmt: skip
            joined = join_strands(strands, self._strands)
            for number, values in zip(self._numbers, joined, strict=True):
                yield self._sequences.records[number], values


def _floats(file: IO[bytes], n: int) -> Float32[np.ndarray, " n"]:
    return np.frombuffer(file.read(4 * n), dtype=np.float32)


def _check_readable(records: Sequence[BedRecord], context_length: int, stride: int | None) -> None:
    """Raise an InputError if a sequence is too long or the stride invalid; log the windows."""
    if stride is None:
        check_lengths(
            records,
            context_length,
            remedy="use --stride to read it in overlapping windows, or score windows of it, given "
            "as a BED file with --genome",
        )
        return
    windows(1, context_length, stride)  # raises if the stride is out of range
    n_long = sum(len(record.interval) > context_length for record in records)
    if n_long:
        _log.info(
            "%s of %s longer than the context; %s", f"{n_long:,}",
            counted(len(records), "sequence is", "sequences are"),
            describe_windows(context_length, stride),
        )  # fmt: skip
    else:
        _log.info("no sequence is longer than the context: the stride has no effect")


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
