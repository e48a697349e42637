"""megabase convert: convert a released model to a plain folder, or back."""

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
        str,
        typer.Option(
            "--input", "-i", help="Released folder or .ckpt file, hub id, or megabase folder."
        ),
    ],
    output: OutputFolder,
    layout: Annotated[
        str,
        typer.Option(help="Layout to write: megabase, or hf (that of the released -hf folders)."),
    ] = "megabase",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Convert a released model to a megabase folder, or a megabase model to the released layout.

    megabase convert --input hyenadna-tiny-1k/weights.ckpt --output tiny-1k
    """
    from megabase.jobs.job_check import check_convert
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    check_convert(source, output, layout=layout)
    from megabase.jobs.convert import convert as run

    run(source, output, layout=layout, overwrite=overwrite)
    typer.echo(output)
