"""megabase generate: sequences that a model writes."""

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
    length: Annotated[int, typer.Option("--length", "-n", help="Bases of each sequence.")],
    output: OutputFile,
    prompt: Annotated[
        Path | None, typer.Option(help="FASTA or FASTQ file; each of its sequences is continued.")
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-k", help="Sequences, or continuations of each prompt.")
    ] = 1,
    template: Annotated[
        Path | None, typer.Option(help="FASTA file of one sequence: fixed bases, N where free.")
    ] = None,
    forbid: Annotated[
        list[str] | None,
        typer.Option(help="A motif (IUPAC letters) that may not occur on either strand; repeat."),
    ] = None,
    gc: Annotated[
        str | None, typer.Option(help="LOW-HIGH: the fraction of G and C, as 0.4-0.6.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="Below 1, likely bases become more likely.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(help="Draw from this many of the most likely bases.")] = 4,
    top_p: Annotated[
        float, typer.Option(help="Draw from the most likely bases that reach this probability.")
    ] = 1.0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write sequences base by base, each with its log-likelihood (nats), as FASTA.

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
