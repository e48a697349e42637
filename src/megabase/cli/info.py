"""megabase info: the configuration of a model, and its memory and time."""

import json
from typing import Annotated

import typer

from megabase.cli.options import Json, Model
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
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
    from megabase.jobs.inspect import describe_model

    about = describe_model(model, length=length, batch=batch)
    if as_json:
        typer.echo(json.dumps(about, indent=2))
        return
    config = about.pop("config")
    for key, value in [*about.items(), *config.items()]:
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        typer.echo(f"{key:<42}{shown}")
