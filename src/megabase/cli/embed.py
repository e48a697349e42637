"""megabase embed: compute embeddings of sequences, intervals or variants."""

from typing import Annotated

import typer

from megabase.cli.options import (
    ChromMap,
    Delimiter,
    Device,
    MaxMemory,
    Model,
    OutputFile,
    Overwrite,
    Precision,
    Quiet,
    SequenceColumn,
    Shard,
    Splice,
    VariantWindow,
    Verbose,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("embed")(embed)


@with_streams(
    reads=("source", "genome"), why_no_output="embeddings are binary (.npz, .h5 or .parquet)"
)
def embed(
    model: Model,
    source: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            help="FASTA, FASTQ, 2bit, CSV, TSV or Parquet; or, with --genome: BED, VCF, BCF, or "
            "GTF with --splice.",
        ),
    ],
    output: OutputFile,
    genome: Annotated[
        str | None, typer.Option("--genome", "-g", help="Genome of a BED, GTF, VCF or BCF file.")
    ] = None,
    splice: Splice = False,
    layer: Annotated[
        int | None, typer.Option(help="Layer: 0 is the token embedding; default: the last layer.")
    ] = None,
    pooling: Annotated[
        str,
        typer.Option(help="mean, last, max, centre; none (every base); window:W (means of W bp)."),
    ] = "mean",
    strand: Annotated[
        str,
        typer.Option(help="average (the mean of both strands); forward; or both, concatenated."),
    ] = "average",
    stride: Annotated[
        int | None,
        typer.Option(help="Step between windows in bp, for sequences longer than the context."),
    ] = None,
    window: VariantWindow = None,
    chrom_map: ChromMap = None,
    sequence_column: SequenceColumn = None,
    delimiter: Delimiter = None,
    shard: Shard = "1/1",
    dtype: Annotated[
        str, typer.Option(help="Data type of the output: float32 or float16.")
    ] = "float32",
    device: Device = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = "float32",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute embeddings of sequences, intervals, or both alleles of variants.

    The name of the output selects the format: .npz, .h5 or .parquet.

    megabase embed --model model --input genes.fa --output genes.npz

    megabase embed --model model --input genes.bed --genome genome.fa --layer 4 --output genes.h5
    """
    from megabase.jobs.embed import embed as run
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    run(
        model, source, output, genome=genome, splice=splice, layer=layer, pooling=pooling,
        strand=strand, stride=stride, window=window, chrom_map=chrom_map,
        sequence_column=sequence_column, delimiter=delimiter, shard=shard, dtype=dtype,
        device=device, max_memory_gib=max_memory, precision=precision, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(output)
