"""megabase tracks: compute a value for each base of a genome."""

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
    app.command("tracks")(tracks)


@with_streams(reads=("genome", "regions"), writes=".bedgraph")
def tracks(
    model: Model,
    genome: Genome,
    output: OutputFile,
    quantity: Annotated[
        str, typer.Option(help="surprisal or entropy, in bits; or p_A, p_C, p_G, p_T.")
    ] = "surprisal",
    strand: Strand = "average",
    stride: Annotated[
        int | None, typer.Option(help="Step between windows in bp; default: half the context.")
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option("--regions", "-r", help="BED file of the bases to compute; default: all."),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(help="i/n: the i-th of n stretches of about equal work; merge joins them."),
    ] = "1/1",
    rename_contigs: Annotated[
        Path | None,
        typer.Option(help="Two-column file: name of a contig in the genome, name in the track."),
    ] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute surprisal, entropy or probabilities at each base, as bigWig or bedGraph.

    megabase tracks --model model --genome genome.fa --output surprisal.bw

    megabase tracks --model model --genome genome.fa --regions genes.bed --output genes.bw

    megabase tracks --model model --genome asset:ecoli --quantity entropy --output entropy.bedgraph
    """
    from megabase.jobs.tracks import tracks as run
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    run(
        model, genome, output, quantity=quantity, strand=strand, stride=stride, regions=regions,
        shard=shard, rename_contigs=rename_contigs, device=device, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(output)
