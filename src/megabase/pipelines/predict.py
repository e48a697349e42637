"""Add the predictions of a fine-tuned model to the rows of a table, or to each base of them."""

import io
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from megabase.inference.choices import strands_of
from megabase.inference.plan import (
    choose_device,
    default_batch_tokens,
    place_model,
    plan_inference,
)
from megabase.inference.predictions import PredictionTable, prediction_columns, predictions
from megabase.io.derived_files import file_sha256
from megabase.io.sequence_table import SEQUENCE, Record, SequenceTable
from megabase.io.tables import check_cells, check_no_clash, delimiter_to_write, write_table
from megabase.model.heads import PredictsEachToken
from megabase.model.load import Classifier, load_classifier
from megabase.model.reading import weights_sha256
from megabase.pipelines.pipeline import DEFAULTS, Pipeline, Request, RunOptions
from megabase.pipelines.preflight import check_predict
from megabase.pipelines.sequences import open_genome
from megabase.runtime.artifacts import Output
from megabase.runtime.location import genome_path

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PredictionRequest(Request):
    """Everything that determines the output of `predict`, whose parameters it has."""

    command: ClassVar[str] = "predict"

    labels: list[str]
    input: str
    genome: str | None
    crop: str | None
    strand: str
    sequence_column: str = SEQUENCE


def predict(
    model: str,
    source: Path,
    output: Path,
    *,
    genome: str | None = None,
    crop: str | None = None,
    sequence_column: str = SEQUENCE,
    delimiter: str | None = None,
    strand: str = "forward",
    options: RunOptions = DEFAULTS,
) -> None:
    """Predict the label of every row of a table or FASTA, or of every base of it, in order.

    The output has the columns of `PredictionTable`. The input is read twice: first to check
    it and to plan, then row by row.

    Parameters
    ----------
    model
        A folder written by ``megabase finetune``, or the hub id of such a model.
    source
        A table or FASTA file, as `SequenceTable` reads it.
    output
        CSV or TSV, by its suffix.
    genome
        FASTA or 2bit genome of the intervals in the input; None: the input has sequences.
    crop
        One of `sequence_table.CROPS`; None: a sequence longer than the context is an error.
    sequence_column
        Column of the table that has the sequences.
    delimiter
        Delimiter of the table; None: detected from its first line.
    strand
        ``forward``, or ``average`` of both strands.
    options
        How to compute.

    Raises
    ------
    InputError
        If an input or option is invalid, or the model has no head.
    """
    check_predict(model, source, output, genome=genome, strand=strand)
    classifier = load_classifier(model)
    place_model(
        classifier, choose_device(options.device), precision=options.precision,
        max_memory_gib=options.max_memory_gib,
    )  # fmt: skip
    per_base = isinstance(classifier, PredictsEachToken)
    written = PredictionTable(classifier.config, per_base, genome is not None, sequence_column)
    table = SequenceTable(
        source,
        reference=open_genome(genome) if genome else None,
        context_length=classifier.config.context_length,
        n_prompt_tokens=classifier.config.n_prompt_tokens,
        crop=crop,
        sequence_column=sequence_column,
        delimiter=delimiter,
    )
    written_delimiter = delimiter_to_write(output)
    lengths, header = _survey(table, written, written_delimiter)
    request = PredictionRequest(
        model=weights_sha256(classifier),
        labels=prediction_columns(classifier.config),
        input=file_sha256(source),
        genome=file_sha256(genome_path(genome)) if genome else None,
        crop=crop,
        strand=strand,
        sequence_column=sequence_column,
        **options.in_request(),
    )
    place = Output(output, request.record(), is_folder=False, overwrite=options.overwrite)
    if not place.is_finished:
        work = _Prediction(
            classifier, table, written, request, options, lengths, header, written_delimiter
        )
        work.run(place)


class _Prediction(Pipeline[tuple[int, Record], PredictionRequest]):
    """Lines of the output.

    Parameters
    ----------
    classifier, table, written
        The model, the input and the lines of the output.
    request, options
        What is computed, and how.
    lengths, header
        Length of every sequence of the input, and its columns.
    delimiter
        Delimiter of the output.
    """

    title = "predicting"
    unit = "rows"
    records_in_part = 1024

    def __init__(
        self,
        classifier: Classifier,
        table: SequenceTable,
        written: PredictionTable,
        request: PredictionRequest,
        options: RunOptions,
        lengths: Sequence[int],
        header: list[str],
        delimiter: str,
    ) -> None:
        device = next(classifier.parameters()).device
        super().__init__(request, options.shard, device.type)
        self._classifier, self._table, self._written = classifier, table, written
        self._lengths, self._header = list(self.shard.of(lengths)), header
        self._delimiter = delimiter
        self._batch_tokens = options.tokens_per_batch or default_batch_tokens(device)

    def announce(self, output: Path) -> None:
        del output
        if not self._lengths:
            _log.info("shard %s has no rows: the output has none", self.shard)
            return
        n_strands = len(strands_of(self.request.strand))
        plan = plan_inference(
            self._classifier,
            longest=max(self._lengths),
            at_once=self._batch_tokens,
            n_tokens=n_strands * sum(self._lengths),
        )
        _log.info("predicting: %s", plan)

    @property
    def total(self) -> int:
        return len(self._lengths)

    def records(self) -> Iterator[tuple[int, Record]]:
        """Yield the rows of the shard with their numbers, counted from 1."""
        return self.shard.of(enumerate(self._table.records(), start=1))

    def n_bases(self, record: tuple[int, Record]) -> int:
        return len(record[1].tokens)

    def n_units(self, record: tuple[int, Record]) -> int:
        del record
        return 1

    def compute(self, part: Sequence[tuple[int, Record]], advance: Callable[[int], None]) -> bytes:
        answers = predictions(
            self._classifier,
            (record.tokens for _, record in part),
            strand=self.request.strand,
            tokens_per_batch=self._batch_tokens,
            advance=advance,
        )
        lines = (
            line
            for (number, record), answer in zip(part, answers, strict=True)
            for line in self._written.lines(number, record.row, record.place, answer)
        )
        text = io.StringIO()
        columns = self._written.columns(self._header)
        write_table(text, columns, lines, delimiter=self._delimiter, has_header=False)
        return text.getvalue().encode()

    def n_expected(self) -> int:
        return self.total

    def lines_per_record(self, body: Path) -> list[int]:
        del body
        return self._lengths if self._written.per_base else [1] * len(self._lengths)

    def results(self, body: Path) -> dict[str, int]:
        del body
        return {"n_rows": len(self._lengths)}

    def write(self, path: Path, body: Path) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            columns = self._written.columns(self._header)
            write_table(file, columns, [], delimiter=self._delimiter)
            with body.open(encoding="utf-8", newline="") as lines:
                shutil.copyfileobj(lines, file)


def _survey(
    table: SequenceTable, written: PredictionTable, delimiter: str
) -> tuple[list[int], list[str]]:
    """Read a table once, and return the length of each sequence and the columns.

    Raises
    ------
    InputError
        If the output would have a duplicate column, or a cell that it cannot represent.
    """
    lengths: list[int] = []
    header: list[str] = []
    for number, record in enumerate(table.records(tell=False), start=1):
        lengths.append(len(record.tokens))
        header = header or list(record.row)
        check_cells(record.row, delimiter, f"{table.path}, row {number}")
    columns = written.columns(header)
    check_cells(dict(zip(columns, columns, strict=True)), delimiter, f"{table.path}, the header")
    check_no_clash(header, written.added(), str(table.path))
    return lengths, header
