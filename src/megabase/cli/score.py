"""megabase score: compute the likelihoods of sequences."""

from typing import Annotated

import typer

from megabase.cli.options import (
    Device,
    MaxMemory,
    Model,
    OutputFile,
    Overwrite,
    Precision,
    Quiet,
    Splice,
    Strand,
    Verbose,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("score")(score)


@with_streams(reads=("source", "genome"), writes=".tsv")
def score(
    model: Model,
    source: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            help="FASTA, FASTQ or 2bit; or, with --genome: BED, or GTF with --splice.",
        ),
    ],
    output: OutputFile,
    genome: Annotated[
        str | None, typer.Option("--genome", "-g", help="Genome of a BED or GTF file.")
    ] = None,
    splice: Splice = False,
    stride: Annotated[
        int | None,
        typer.Option(help="Step between windows in bp, for sequences longer than the context."),
    ] = None,
    strand: Strand = "forward",
    device: Device = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = "float32",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute log-likelihood (nats) and bits per base of sequences, as a table or a track.

    megabase score --model model --input genes.fa --output scores.tsv

    megabase score --model model --input genes.bed --genome genome.fa --output bases.bedgraph

    megabase score --model model --input contigs.fa --stride 512 --output scores.tsv

    megabase score --model model --input genes.gtf --genome genome.fa --splice --output scores.tsv
    """
    from megabase.jobs.score import score as run
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    run(
        model, source, output, genome=genome, splice=splice, stride=stride, strand=strand,
        device=device, max_memory_gib=max_memory, precision=precision, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(output)
