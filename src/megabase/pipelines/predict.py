"""Add the predictions of a fine-tuned model to the rows of a table, or to each base of them."""

import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from megabase.data.sequence_table import SEQUENCE, SequenceTable
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import TokenArray
from megabase.inference.choices import strands_of
from megabase.inference.likelihood import TOKENS_PER_BATCH
from megabase.inference.plan import choose_device, plan_inference
from megabase.inference.prediction_table import PredictionTable
from megabase.inference.predictions import prediction_columns, predictions
from megabase.io.tables import check_cells, check_no_clash, delimiter_to_write, write_table
from megabase.model.heads import PredictsEachToken
from megabase.model.load import load_classifier
from megabase.model.reading import weights_sha256
from megabase.pipelines.preflight import check_predict
from megabase.pipelines.sequences import open_genome
from megabase.runtime.artifacts import Output, exclusive_lock
from megabase.runtime.environment import file_sha256
from megabase.runtime.location import genome_path
from megabase.runtime.log import progress

_log = logging.getLogger(__name__)


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
    device: str = "auto",
    overwrite: bool = False,
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
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    overwrite
        Whether an existing output may be replaced.

    Raises
    ------
    InputError
        If an input or option is invalid, or the model has no head.
    """
    check_predict(model, source, output, genome=genome, strand=strand, device=device)
    written_delimiter = delimiter_to_write(output)
    n_strands = len(strands_of(strand))
    classifier = load_classifier(model)
    classifier.to(choose_device(device))  # pyright: ignore[reportArgumentType] transformers hides its self
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
    lengths, header = _survey(table, written, written_delimiter)
    request = {
        "command": "predict",
        "model": weights_sha256(classifier),
        "labels": prediction_columns(classifier.config),
        "input": file_sha256(source),
        "genome": file_sha256(genome_path(genome)) if genome else None,
        "crop": crop,
        "strand": strand,
    } | ({} if sequence_column == SEQUENCE else {"sequence_column": sequence_column})
    place = Output(output, request, is_folder=False, overwrite=overwrite)
    if place.is_finished:
        return
    plan = plan_inference(
        classifier,
        longest=max(lengths),
        at_once=TOKENS_PER_BATCH,
        n_tokens=n_strands * sum(lengths),
    )
    _log.info("predicting: %s", plan)
    rows: deque[tuple[dict[str, str], Interval | None]] = deque()

    def tokens() -> Iterator[TokenArray]:
        for record in table.records():
            rows.append((record.row, record.place))
            yield record.tokens

    with (
        exclusive_lock(output, is_folder=False),
        progress(len(lengths), "predicting", "rows") as meter,
        place.write(n_rows=len(lengths)) as file,
    ):
        answers = predictions(classifier, tokens(), strand=strand, advance=meter.advance)
        lines = written.rows(
            iter(rows.popleft, None), (np.atleast_2d(answer) for answer in answers)
        )
        write_table(file, written.columns(header), lines, delimiter=written_delimiter)


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
