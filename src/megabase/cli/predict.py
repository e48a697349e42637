"""megabase predict: predict labels of sequences with a fine-tuned model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from megabase.cli.options import (
    Crop,
    Delimiter,
    Device,
    OutputFile,
    Overwrite,
    Quiet,
    SequenceColumn,
    Strand,
    Verbose,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("predict")(predict)


def _suffix_of_table(options: Mapping[str, Any]) -> str:
    """Return the suffix of a table on standard output: CSV if the input is CSV, else TSV."""
    from megabase.io.compression import uncompressed_name

    name = uncompressed_name(options["source"]).lower()
    return ".csv" if name.endswith(".csv") else ".tsv"


@with_streams(reads=("source", "genome"), writes=_suffix_of_table)
def predict(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Folder written by finetune, or a hub id.")
    ],
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            "-i",
            help="FASTA, FASTQ or BED; or a table with columns sequence or contig,start,end.",
        ),
    ],
    output: OutputFile,
    genome: Annotated[
        str | None,
        typer.Option(
            "--genome", "-g", help="Genome, if the input has intervals in place of sequences."
        ),
    ] = None,
    crop: Crop = None,
    sequence_column: SequenceColumn = None,
    delimiter: Delimiter = None,
    strand: Strand = "forward",
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Predict the label of each row or base; append the columns predicted and p_CLASS.

    megabase predict --model model --input unknown.csv --output predictions.csv
    """
    from megabase.jobs.job_check import check_predict
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    check_predict(model, source, output, genome=genome, strand=strand, device=device)
    from megabase.jobs.predict import predict as run

    run(
        model, source, output, genome=genome, crop=crop,
        sequence_column=sequence_column or "sequence", delimiter=delimiter, strand=strand,
        device=device, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(output)
