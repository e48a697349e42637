"""megabase evaluate: measure a model beside its rivals."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from megabase.cli.options import Device, Genome, Json, Model, Overwrite, Quiet


def add_to(app: typer.Typer) -> None:
    """Add the verb, with one verb of its own for each task."""
    tasks = typer.Typer(help="Measure a model beside its rivals.", no_args_is_help=True)
    tasks.command("perplexity")(perplexity)
    app.add_typer(tasks, name="evaluate")


def perplexity(
    model: Model,
    genome: Genome,
    regions: Annotated[
        Path | None,
        typer.Option(help="BED file; without it, what the model's training held out."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file to write.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes the bootstrap.")] = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Held-out bits per base, beside a Markov model fitted to the same training regions.

    megabase evaluate perplexity --model model --genome genome.fa
    """
    from megabase.evaluation.held_out import evaluate_held_out
    from megabase.run.log import start_logging

    start_logging(quiet=quiet)
    report = evaluate_held_out(
        model,
        genome,
        regions=regions,
        output=output,
        seed=seed,
        device=device,
        overwrite=overwrite,
    )
    typer.echo(json.dumps(report, indent=2) if as_json else _table(report))


def _table(report: dict[str, Any]) -> str:
    rows = [("", "bits per base", "95 % interval")]
    named = {
        "model": "this model",
        "markov": f"Markov, order {report['markov_order']}",
        "order0": "composition",
        "gain": "Markov - model",
    }
    for key, name in named.items():
        low, high = report[key]["interval"]
        rows.append((name, f"{report[key]['bits_per_base']:.4f}", f"{low:.4f} to {high:.4f}"))
    lines = [f"{name:<20}{bits:>14}   {interval}" for name, bits, interval in rows]
    low, high = report["perplexity_interval"]
    return "\n".join(
        [
            *lines,
            f"perplexity {report['perplexity']:.4f} ({low:.4f} to {high:.4f}); "
            f"{report['n_bases']:,} bases in {report['n_windows']:,} windows of "
            f"{report['context_length']:,}",
        ]
    )
