"""megabase generate: sample sequences from a model."""

from pathlib import Path
from typing import Annotated

import typer

from megabase.cli.options import (
    Device,
    Model,
    OutputFile,
    Overwrite,
    Quiet,
    Verbose,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("generate")(generate)


@with_streams(reads=("prompt", "template"), writes=".fa")
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
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Generate sequences base by base, as FASTA with the log-likelihood (nats) of each.

    megabase generate --model model --length 1000 --output new.fa --number 10

    megabase generate --model model --length 500 --prompt genes.fa --output next.fa --seed 1

    megabase generate --model model --length 300 --output part.fa --forbid GAATTC --gc 0.4-0.6
    """
    from megabase.jobs.generate import generate as run
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    run(
        model, output, length=length, prompt=prompt, number=number, template=template,
        forbid=forbid or (), gc=gc, seed=seed, temperature=temperature, top_k=top_k, top_p=top_p,
        device=device, overwrite=overwrite,
    )  # fmt: skip
    typer.echo(output)
