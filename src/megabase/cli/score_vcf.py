"""megabase score-vcf: score variants, and write them as VCF, BCF or a table."""

from typing import Annotated

import typer

from megabase.cli.options import (
    ChromMap,
    Device,
    Genome,
    MaxMemory,
    Model,
    OutputFile,
    Overwrite,
    Precision,
    Quiet,
    Shard,
    Strand,
    VariantWindow,
    Verbose,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("score-vcf")(score_vcf)


@with_streams(reads=("source", "genome"), writes=".vcf")
def score_vcf(
    model: Model,
    genome: Genome,
    source: Annotated[
        str,
        typer.Option(
            "--input", "-i", help="VCF (plain, gzip or bgzip) or BCF; - reads standard input."
        ),
    ],
    output: OutputFile,
    window: VariantWindow = None,
    strand: Strand = "average",
    distance: Annotated[
        bool, typer.Option("--distance", help="Also write how far an allele moves the embedding.")
    ] = False,
    shard: Shard = "1/1",
    chrom_map: ChromMap = None,
    device: Device = "auto",
    max_memory: MaxMemory = None,
    precision: Precision = "float32",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute the log-likelihood ratio (nats) of each alternative allele: INFO fields or a table.

    The name of the output selects the format: .vcf; .vcf.gz (bgzip) or .bcf, with an index; or
    .tsv or .parquet, with one row per alternative allele.

    megabase score-vcf --model model --genome genome.fa --input in.vcf.gz --output out.vcf.gz
    """
    from megabase.jobs.score_vcf import score_vcf as run
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    run(
        model, genome, source, output, window=window, strand=strand, distance=distance,
        shard=shard, chrom_map=chrom_map, device=device, max_memory_gib=max_memory,
        precision=precision, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(output)
