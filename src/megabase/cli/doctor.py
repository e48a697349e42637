"""megabase doctor: versions, devices and optional features of this computer."""

import json

import typer

from megabase.cli.options import Json


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("doctor")(doctor)


def doctor(as_json: Json = False) -> None:
    """Show versions, devices, and which features are on or off, with the reason."""
    from megabase.jobs.computer import describe_computer

    findings = describe_computer()
    if as_json:
        typer.echo(json.dumps({finding.name: finding.value for finding in findings}, indent=2))
        return
    for finding in findings:
        note = f"  ({finding.note})" if finding.note else ""
        typer.echo(f"{finding.name:<14}{finding.value}{note}")
