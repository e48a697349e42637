"""megabase score, score-vcf, mutagenesis, embed, tracks, generate: what a model computes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from megabase.cli.options import (
    ChromMap,
    Delimiter,
    Genome,
    Model,
    OutputFile,
    SequenceColumn,
    Splice,
    Strand,
    VariantWindow,
    with_run_options,
)
from megabase.cli.streams import with_streams

if TYPE_CHECKING:
    from megabase.pipelines.pipeline import RunOptions


def add_score(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("score")(score)


@with_streams(reads=("source", "genome"), writes=".tsv")
@with_run_options
def score(
    model: Model,
    source: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            help="FASTA, FASTQ or 2bit; or, with --genome, BED; with --splice also GTF or GFF3.",
        ),
    ],
    output: OutputFile,
    genome: Annotated[
        str | None,
        typer.Option(
            "--genome", "-g", help="FASTA, 2bit or asset:ecoli: the letters of intervals."
        ),
    ] = None,
    splice: Splice = False,
    stride: Annotated[
        int | None,
        typer.Option(help="Step between windows in bp, for sequences longer than the context."),
    ] = None,
    strand: Strand = "forward",
    *,
    options: "RunOptions",
) -> None:
    """Compute log-likelihood (nats) and bits per base of sequences, as a table or a track.

    megabase score --model model --input genes.fa --output scores.tsv

    megabase score --model model --input genes.bed --genome genome.fa --output bases.bedgraph

    megabase score --model model --input contigs.fa --stride 512 --output scores.tsv

    megabase score --model model --input genes.gtf --genome genome.fa --splice --output scores.tsv
    """
    from megabase.pipelines.score import score as run

    run(
        model, source, output, genome=genome, splice=splice, stride=stride, strand=strand,
        options=options,
    )  # fmt: skip
    typer.echo(output)


def add_score_vcf(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("score-vcf")(score_vcf)


@with_streams(reads=("source", "genome"), writes=".vcf")
@with_run_options
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
        bool,
        typer.Option(
            "--distance", help="Also write MB_DIST, the Euclidean distance of the embeddings."
        ),
    ] = False,
    chrom_map: ChromMap = None,
    *,
    options: "RunOptions",
) -> None:
    """Compute the log-likelihood ratio (nats) of each allele, alternative minus reference.

    It is the INFO field MB_LLR; MB_LLR_BASE is the difference of the means per base, and
    MB_LLR_FLANK that of the bases after the allele.

    The name of the output selects the format: .vcf; .vcf.gz (bgzip) or .bcf, with an index; or
    .tsv or .parquet, with one row per alternative allele.

    megabase score-vcf --model model --genome genome.fa --input in.vcf.gz --output out.vcf.gz
    """
    from megabase.pipelines.score_vcf import score_vcf as run

    run(
        model, genome, source, output, window=window, strand=strand, distance=distance,
        chrom_map=chrom_map, options=options,
    )  # fmt: skip
    typer.echo(output)


def add_mutagenesis(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("mutagenesis")(mutagenesis)


@with_streams(reads=("genome", "regions"), writes=".tsv")
@with_run_options
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
    *,
    options: "RunOptions",
) -> None:
    """Compute the log-likelihood ratio (nats) of every substitution in regions, as a table.

    megabase mutagenesis --model model --genome genome.fa --regions regions.bed --output all.tsv

    megabase mutagenesis -m model -g genome.fa -r regions.bed -o all.tsv --mode both --figures all
    """
    from megabase.pipelines.mutagenesis import mutagenesis as run

    run(
        model, genome, regions, output, figures=figures, mode=mode, window=window, strand=strand,
        options=options,
    )  # fmt: skip
    typer.echo(output)
    if figures is not None:
        typer.echo(figures)


def add_embed(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("embed")(embed)


@with_streams(
    reads=("source", "genome"), why_no_output="embeddings are binary (.npz, .h5 or .parquet)"
)
@with_run_options
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
    dtype: Annotated[
        str, typer.Option(help="Data type of the output: float32 or float16.")
    ] = "float32",
    *,
    options: "RunOptions",
) -> None:
    """Compute embeddings of sequences, intervals, or both alleles of variants.

    The name of the output selects the format: .npz, .h5 or .parquet.

    megabase embed --model model --input genes.fa --output genes.npz

    megabase embed --model model --input genes.bed --genome genome.fa --layer 4 --output genes.h5
    """
    from megabase.pipelines.embed import embed as run

    run(
        model, source, output, genome=genome, splice=splice, layer=layer, pooling=pooling,
        strand=strand, stride=stride, window=window, chrom_map=chrom_map,
        sequence_column=sequence_column, delimiter=delimiter, dtype=dtype, options=options,
    )  # fmt: skip
    typer.echo(output)


def add_tracks(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("tracks")(tracks)


@with_streams(reads=("genome", "regions"), writes=".bedgraph")
@with_run_options
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
    rename_contigs: Annotated[
        Path | None,
        typer.Option(help="Two-column file: name of a contig in the genome, name in the track."),
    ] = None,
    *,
    options: "RunOptions",
) -> None:
    """Compute surprisal, entropy or probabilities at each base, as bigWig or bedGraph.

    megabase tracks --model model --genome genome.fa --output surprisal.bw

    megabase tracks --model model --genome genome.fa --regions genes.bed --output genes.bw

    megabase tracks --model model --genome asset:ecoli --quantity entropy --output entropy.bedgraph
    """
    from megabase.pipelines.tracks import tracks as run

    run(
        model, genome, output, quantity=quantity, strand=strand, stride=stride, regions=regions,
        rename_contigs=rename_contigs, options=options,
    )  # fmt: skip
    typer.echo(output)


def add_generate(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("generate")(generate)


@with_streams(reads=("prompt", "template"), writes=".fa")
@with_run_options
def generate(
    model: Model,
    length: Annotated[int, typer.Option("--length", "-n", help="Bases to generate per sequence.")],
    output: OutputFile,
    prompt: Annotated[
        Path | None, typer.Option(help="FASTA or FASTQ file; each of its sequences is continued.")
    ] = None,
    number: Annotated[
        int,
        typer.Option(
            "--number", "-k", help="Number of sequences, or of continuations of each prompt."
        ),
    ] = 1,
    template: Annotated[
        Path | None,
        typer.Option(help="FASTA file with one sequence: fixed bases, and N where bases are free."),
    ] = None,
    forbid: Annotated[
        list[str] | None,
        typer.Option(help="Motif (IUPAC letters) to exclude on both strands; may be repeated."),
    ] = None,
    gc: Annotated[
        str | None, typer.Option(help="Allowed fraction of G and C: LOW-HIGH, such as 0.4-0.6.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="Sampling temperature; below 1, likely bases become more likely.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(help="Sample from this many of the most likely bases.")] = 4,
    top_p: Annotated[
        float,
        typer.Option(help="Sample from the fewest likeliest bases that reach this probability."),
    ] = 1.0,
    *,
    options: "RunOptions",
) -> None:
    """Generate sequences base by base, as FASTA with the log-likelihood (nats) of each.

    megabase generate --model model --length 1000 --output new.fa --number 10

    megabase generate --model model --length 500 --prompt genes.fa --output next.fa --seed 1

    megabase generate --model model --length 300 --output part.fa --forbid GAATTC --gc 0.4-0.6
    """
    from megabase.pipelines.generate import generate as run

    run(
        model, output, length=length, prompt=prompt, number=number, template=template,
        forbid=forbid or (), gc=gc, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p,
        options=options,
    )  # fmt: skip
    typer.echo(output)
