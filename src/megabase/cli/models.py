"""megabase info, convert, merge, doctor: models, outputs, and this computer."""

import json
from pathlib import Path
from typing import Annotated

import typer

from megabase.cli.options import (
    Json,
    Model,
    OutputFile,
    OutputFolder,
    Overwrite,
    Quiet,
    Verbose,
)
from megabase.cli.streams import show_rows, with_streams


def add_index(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("index")(index)


@with_streams(why_no_output="an index is mapped into memory")
def index(
    model: Model,
    genome: Annotated[
        list[str],
        typer.Option("--genome", "-g", help="Genome: FASTA, 2bit or asset:ecoli; may be repeated."),
    ],
    output: OutputFile,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Read genomes once, into a file with which the memory of a model begins (--index).

    megabase index --model model --genome genome.fa --output genome.index

    megabase index --model model --genome chimp.fa --genome gorilla.fa --output apes.index
    """
    from megabase.runtime.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    from megabase.pipelines.index import index as run

    run(model, genome, output, overwrite=overwrite)
    typer.echo(output)


def add_info(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("info")(info)


@with_streams()
def info(
    model: Model,
    length: Annotated[
        int | None,
        typer.Option(min=1, help="Sequence length in tokens; default: the context length."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences per batch.")] = 1,
    as_json: Json = False,
) -> None:
    """Show configuration, parameters and context length, and memory and time for a sequence.

    megabase info --model model --length 32768
    """
    from megabase.model.files import find_model

    find_model(model)
    from megabase.pipelines.models import describe_model

    about = describe_model(model, length=length, batch=batch)
    if as_json:
        typer.echo(json.dumps(about, indent=2))
        return
    config = about.pop("config")
    show_rows(
        [(key, _shown(value)) for key, value in [*about.items(), *config.items()]], "{:<42}{}"
    )


def _shown(value: object) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_number else f"{value}"


def add_convert(app: typer.Typer) -> None:
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
    from megabase.pipelines.preflight import check_convert
    from megabase.runtime.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    check_convert(source, output, layout=layout)
    from megabase.pipelines.models import convert as run

    run(source, output, layout=layout, overwrite=overwrite)
    typer.echo(output)


def add_merge(app: typer.Typer) -> None:
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
    """Merge the outputs of a command with --shard 1/n to n/n.

    The result equals the output of the same command without --shard.

    megabase merge --output all.vcf.gz part-*.vcf.gz
    """
    from megabase.pipelines.merge import merge as run
    from megabase.runtime.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    run(parts, output, overwrite=overwrite)
    typer.echo(output)


def add_doctor(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("doctor")(doctor)


def doctor(as_json: Json = False) -> None:
    """Show versions, devices, and which features are on or off, with the reason."""
    from megabase.pipelines.models import describe_computer

    findings = describe_computer()
    if as_json:
        typer.echo(json.dumps({finding.name: finding.value for finding in findings}, indent=2))
        return
    rows = [(name, value, f"  ({note})" if note else "") for name, value, note in findings]
    show_rows(rows, "{:<14}{}{}")
