"""megabase mutagenesis: score every substitution in regions."""

from pathlib import Path
from typing import Annotated

import typer

from megabase.cli.options import (
    Device,
    Genome,
    Model,
    OutputFile,
    Overwrite,
    Quiet,
    Strand,
    Verbose,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("mutagenesis")(mutagenesis)


@with_streams(reads=("genome", "regions"), writes=".tsv")
def mutagenesis(
    model: Model,
    genome: Genome,
    regions: Annotated[
        Path, typer.Option("--regions", "-r", help="BED file of the regions to mutate.")
    ],
    output: OutputFile,
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder for a heat map and a sequence logo (PNG) of each region."),
    ] = None,
    mode: Annotated[
        str, typer.Option(help="exact; gradient (a much faster estimate); or both.")
    ] = "exact",
    window: Annotated[
        int | None,
        typer.Option(help="Window length in bp; default: 1,024, or the context if shorter."),
    ] = None,
    strand: Strand = "average",
    shard: Annotated[
        str, typer.Option(help="i/n: every n-th region, starting at the i-th; merge joins them.")
    ] = "1/1",
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute the log-likelihood ratio (nats) of every substitution in regions, as a table.

    megabase mutagenesis --model model --genome genome.fa --regions regions.bed --output all.tsv

    megabase mutagenesis -m model -g genome.fa -r regions.bed -o all.tsv --mode both --figures all
    """
    from megabase.jobs.mutagenesis import mutagenesis as run
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    run(
        model, genome, regions, output, figures=figures, mode=mode, window=window, strand=strand,
        shard=shard, device=device, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(output)
    if figures is not None:
        typer.echo(figures)
