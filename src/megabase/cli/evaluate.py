"""megabase evaluate: measure a model next to its baselines."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from megabase.cli.evaluate_tasks import TASK, TaskGroup, evaluate, list_tasks
from megabase.cli.few_shot import few_shot
from megabase.cli.options import (
    Device,
    Genome,
    Json,
    Model,
    OutputFolder,
    Overwrite,
    Quiet,
    Regions,
    Verbose,
    WindowOfContext,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb, with its sub-verbs, to the command."""
    tasks = typer.Typer(
        cls=TaskGroup,
        help="Measure a model next to its baselines; TASK is the name of a benchmark task.",
        no_args_is_help=True,
    )
    tasks.command("perplexity")(perplexity)
    tasks.command("context")(context)
    tasks.command("list")(list_tasks)
    tasks.command(TASK)(evaluate)
    tasks.command("few-shot")(few_shot)
    app.add_typer(tasks, name="evaluate")


@with_streams(reads=("genome", "regions"), writes=".json")
def perplexity(
    model: Model,
    genome: Annotated[
        str | None,
        typer.Option(
            "--genome",
            "-g",
            help="FASTA or 2bit file; default: every genome that the model was trained on.",
        ),
    ] = None,
    regions: Regions = None,
    context_length: WindowOfContext = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file to write.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the bootstrap.")] = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure held-out bits per base, next to a Markov model of the same training regions.

    megabase evaluate perplexity --model model --genome genome.fa
    """
    from megabase.evaluation.evaluation_check import check_measured
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    check_measured(model, device=device, genome=genome, output=output, is_folder=False)
    from megabase.evaluation.held_out import evaluate_held_out

    report = evaluate_held_out(
        model,
        genome,
        regions=regions,
        context_length=context_length,
        output=output,
        seed=seed,
        device=device,
        overwrite=overwrite,
    )
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    for name, one in report.get("genomes", {"": report}).items():
        typer.echo(f"{name}\n{_table(one)}" if name else _table(one))


@with_streams()
def context(
    model: Model,
    genome: Genome,
    output: OutputFolder,
    regions: Regions = None,
    context_length: WindowOfContext = None,
    windows: Annotated[int, typer.Option(min=2, help="Maximum number of windows to score.")] = 32,
    gain_only: Annotated[
        bool,
        typer.Option(
            "--gain-only",
            help="Skip the permuted and repeated sequences, which take most of the time.",
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of permutations and bootstraps.")
    ] = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure whether a longer context lowers the loss, and write a page with figures.

    megabase evaluate context --model model --genome genome.fa --output context
    """
    from megabase.evaluation.evaluation_check import check_measured
    from megabase.run.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    check_measured(model, device=device, genome=genome, output=output)
    from megabase.evaluation.context_report import PAGE, report_context

    report_context(
        model,
        genome,
        output,
        regions=regions,
        n_windows=windows,
        context_length=context_length,
        gain_only=gain_only,
        seed=seed,
        device=device,
        overwrite=overwrite,
    )
    typer.echo(output / PAGE)


def _table(report: dict[str, Any]) -> str:
    from megabase.report.page import interval_text
    from megabase.run.log import counted

    perplexity_interval = interval_text(report["perplexity_interval"])
    rows = [("", "bits per base", "95 % interval")]
    named = {
        "model": "this model",
        "markov": f"Markov, order {report['markov_order']}",
        "order0": "base composition",
        "gain": "Markov - model",
    }
    if report["pooled"]:
        named |= {"pooled": "Markov, all genomes", "pooled_gain": "all genomes - model"}
    for key, name in named.items():
        found = report[key]
        rows.append((name, f"{found['bits_per_base']:.4f}", interval_text(found["interval"])))
    lines = [f"{name:<20}{bits:>14}   {interval}" for name, bits, interval in rows]
    return "\n".join(
        [
            *lines,
            f"perplexity {report['perplexity']:.4f} ({perplexity_interval}); "
            f"{counted(report['n_bases'], 'base')} in "
            f"{counted(report['n_windows'], 'window')} of {report['context_length']:,} bp",
        ]
    )
