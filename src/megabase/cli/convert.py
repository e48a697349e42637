"""megabase convert: a published model to a plain folder, and back."""

from typing import Annotated

import typer

from megabase.cli.options import (
    OutputFolder,
    Overwrite,
    Quiet,
    Verbose,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("convert")(convert)


@with_streams()
def convert(
    source: Annotated[
        str, typer.Option("--input", "-i", help="Released folder or .ckpt, hub id, or our folder.")
    ],
    output: OutputFolder,
    layout: Annotated[
        str, typer.Option(help="megabase, or hf for the layout of the released -hf folders.")
    ] = "megabase",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a plain model folder of any published one, or the published layout of ours.

    megabase convert --input hyenadna-tiny-1k/weights.ckpt --output tiny-1k
    """
    from megabase.jobs.job_check import check_convert
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    check_convert(source, output, layout=layout)
    from megabase.jobs.convert import convert as run

    run(source, output, layout=layout, overwrite=overwrite)
    typer.echo(output)
