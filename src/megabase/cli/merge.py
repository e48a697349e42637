"""megabase merge: join the outputs of all shards."""

from pathlib import Path
from typing import Annotated

import typer

from megabase.cli.options import OutputFile, Overwrite, Quiet, Verbose
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("merge")(merge)


@with_streams(why_no_output="the name of the output selects the format, which is that of the parts")
def merge(
    parts: Annotated[
        list[Path],
        typer.Argument(metavar="PART...", help="Outputs of all shards of one command."),
    ],
    output: OutputFile,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Merge the outputs of score-vcf, embed, mutagenesis or tracks with --shard 1/n to n/n.

    The result equals the output of the same command without --shard.

    megabase merge --output all.vcf.gz part-*.vcf.gz
    """
    from megabase.jobs.merge import merge as run
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    run(parts, output, overwrite=overwrite)
    typer.echo(output)
