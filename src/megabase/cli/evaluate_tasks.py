"""megabase evaluate TASK: adapt a model to benchmarks, next to its baselines."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from megabase.cli.options import (
    ConfigFile,
    Delimiter,
    Epochs,
    FirstSeed,
    LabelColumn,
    Offline,
    Overrides,
    Overwrite,
    Quiet,
    Seeds,
    SequenceColumn,
    StandIn,
    TaskData,
    Verbose,
    WindowLength,
    WindowsOfClass,
)
from megabase.cli.streams import with_streams

TASK = "TASK"
"""The verb of every task that has no verb of its own."""


class TaskGroup(TyperGroup):
    """Group of verbs that treats an unknown verb as a task name."""

    def parse_args(
        self,
        ctx: Any,  # noqa: ANN401 the context of click, or of typer's copy of it, by version of typer
        args: list[str],
    ) -> list[str]:
        """Insert the verb `TASK` before a first argument that is not a verb."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [TASK, *args]
        return super().parse_args(ctx, args)


@with_streams()
def evaluate(
    tasks: Annotated[
        list[str], typer.Argument(help="Task names, groups or patterns: gue/tf/0, gue/tf, 'gue/*'.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; default: the name of the task."),
    ] = None,
    data: TaskData = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Language model to start from; default: from scratch."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Size of a model trained from scratch: tiny (default), small, ..."),
    ] = None,
    adapt: Annotated[
        str | None, typer.Option(help="What to train: full (all weights), head, lora or prompt.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="clean; or paper (the best epoch is selected on the test rows).")
    ] = "clean",
    epochs: Epochs = None,
    seeds: Seeds = None,
    seed: FirstSeed = None,
    length: WindowLength = None,
    windows: WindowsOfClass = None,
    sequence_column: SequenceColumn = None,
    label_column: LabelColumn = None,
    delimiter: Delimiter = None,
    probes: Annotated[
        bool, typer.Option("--probes", help="Also train simple models on frozen embeddings.")
    ] = False,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch", help="Also train a model of the same size from random weights."
        ),
    ] = False,
    stand_in: StandIn = False,
    offline: Offline = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Adapt a model to a task and measure it next to a CNN, k-mers and the majority class.

    megabase evaluate gue/tf/0 --data gue --output tf0

    megabase evaluate genomic_benchmarks --data gb --model model --output gb-results

    megabase evaluate gue/tf/0 --data gue --model asset:default --from-scratch

    megabase evaluate biotypes/human --data genomes/human --model model --probes
    """
    from megabase.evaluation.evaluation_check import check_adapted
    from megabase.run.config import read_config
    from megabase.run.log import start_logging
    from megabase.training.config import AdaptConfig

    start_logging(quiet=quiet, verbose=verbose)
    options: dict[str, Any] = {
        "model": model, "preset": preset, "adapt": adapt, "epochs": epochs, "n_seeds": seeds,
        "seed": seed,
    }  # fmt: skip
    settings = read_config(AdaptConfig, file=config, options=options, overrides=overrides or ())
    folder = output or Path("-".join(tasks).replace("/", "-").replace("*", "all"))
    check_adapted(tasks, settings, folder)
    from megabase.evaluation.benchmark import PAGE, TEXT, Choice, evaluate_tasks

    evaluate_tasks(
        tasks,
        folder,
        choice=Choice(
            data,
            protocol,
            offline,
            stand_in,
            length,
            windows,
            sequence_column,
            label_column,
            delimiter,
        ),
        settings=settings,
        probes=probes,
        from_scratch=from_scratch,
        overwrite=overwrite,
    )
    typer.echo((folder / TEXT).read_text(encoding="utf-8").partition("\n## Leaks")[0])
    typer.echo(folder / PAGE)


def list_tasks(
    patterns: Annotated[
        list[str] | None, typer.Argument(help="Task names, groups or patterns; default: all.")
    ] = None,
) -> None:
    """List the tasks: name, kind, main metric and description.

    megabase evaluate list gue
    """
    from megabase.evaluation.tasks.catalogue import TASKS, find_tasks

    for task in find_tasks(patterns) if patterns else TASKS:
        typer.echo(f"{task.name}\t{task.kind}\t{task.metric}\t{task.title}")
