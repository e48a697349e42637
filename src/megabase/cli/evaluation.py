"""megabase evaluate and card: measure a model next to its baselines."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from megabase.cli.options import (
    FORMER_NAMES,
    ConfigFile,
    Delimiter,
    Device,
    Epochs,
    FirstSeed,
    Genome,
    Index,
    Json,
    LabelColumn,
    Model,
    Offline,
    OutputFolder,
    Overrides,
    Overwrite,
    Quiet,
    Regions,
    Seeds,
    SequenceColumn,
    SubstituteSplit,
    TaskData,
    Verbose,
    WindowLength,
    WindowOfContext,
    WindowsPerClass,
)
from megabase.cli.streams import show_rows, with_streams
from megabase.errors import InputError

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
    windows: WindowsPerClass = None,
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
    substitute_split: SubstituteSplit = False,
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
    from megabase.runtime.config_file import read_config
    from megabase.runtime.log import start_logging
    from megabase.training.run_config import AdaptConfig

    start_logging(quiet=quiet, verbose=verbose)
    options: dict[str, Any] = {
        "model": model, "preset": preset, "adapt": adapt, "epochs": epochs, "n_seeds": seeds,
        "seed": seed,
    }  # fmt: skip
    settings = read_config(AdaptConfig, file=config, options=options, overrides=overrides or ())
    folder = output or Path("-".join(tasks).replace("/", "-").replace("*", "all"))
    check_adapted(tasks, settings, folder)
    from megabase.evaluation.benchmark import PAGE, TEXT, evaluate_tasks
    from megabase.evaluation.tasks.task_data import Choice

    evaluate_tasks(
        tasks,
        folder,
        choice=Choice(
            data,
            protocol,
            offline,
            substitute_split,
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
    from megabase.evaluation.tasks.catalogue import all_tasks, find_tasks

    found = find_tasks(patterns) if patterns else all_tasks()
    rows = [(task.name, task.kind, task.metric, task.title) for task in found]
    show_rows(rows, "{}\t{}\t{}\t{}")


@with_streams()
def few_shot(
    tasks: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK...", help="Tasks with 2 to 5 classes, such as the group in_context."
        ),
    ],
    model: Model,
    output: OutputFolder,
    data: TaskData = None,
    shots: Annotated[
        str, typer.Option(help="Numbers of demonstrations per class, with commas.")
    ] = "0,2,8",
    tune: Annotated[
        int, typer.Option(help="Training rows to tune a copy of the model on first; 0: none.")
    ] = 0,
    seeds: Annotated[
        int, typer.Option(help="Number of random draws of demonstrations and samples.")
    ] = 3,
    queries: Annotated[
        int | None, typer.Option(help="Maximum number of test rows; default: all.")
    ] = None,
    offline: Offline = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure classification from demonstrations in the input, optionally after brief tuning.

    megabase evaluate few-shot in_context/human_enhancers_cohn --data FOLDER --model model
    --shots 0,2,8 --tune 16 --output few-shot
    """
    from megabase.evaluation.evaluation_check import check_measured
    from megabase.runtime.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    numbers = _numbers(shots)
    check_measured(model, device=device, tasks=tasks, output=output)
    from megabase.evaluation.few_shot import TABLE, evaluate_few_shot

    evaluate_few_shot(
        tasks,
        data,
        model=model,
        output=output,
        shots=numbers,
        tune=tune,
        n_queries=queries,
        seeds=seeds,
        device=device,
        offline=offline,
        overwrite=overwrite,
    )
    typer.echo((output / TABLE).read_text(encoding="utf-8"), nl=False)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError:
        raise InputError(
            f"--shots needs whole numbers with commas, such as 0,2,8; got {text!r}"
        ) from None


def add_evaluate(app: typer.Typer) -> None:
    """Add the verb, with its sub-verbs, to the command."""
    tasks = typer.Typer(
        cls=TaskGroup,
        help="Measure a model next to its baselines; TASK is the name of a benchmark task.",
        no_args_is_help=True,
    )
    tasks.command("perplexity")(perplexity)
    tasks.command("context")(context)
    tasks.command("list")(list_tasks)
    tasks.command(TASK, context_settings=FORMER_NAMES)(evaluate)
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
    memory: Annotated[
        str | None,
        typer.Option(
            help="For a model with a memory, what the memory has read: before (default: the "
            "training regions, and everything before each window on its contig) or window (only "
            "the window)."
        ),
    ] = None,
    remember: Annotated[
        list[str] | None,
        typer.Option(
            "--remember",
            help="FASTA or 2bit file of another genome, such as a relative, that the memory of the "
            "model and the compressor have read before; may be repeated.",
        ),
    ] = None,
    index: Index = None,
    compressor: Annotated[
        str | None,
        typer.Option(
            "--compressor",
            help="Command of a DNA compressor, such as 'path/to/GeCo3 -l 12', to compare with on "
            "the same bases after the same past.",
        ),
    ] = None,
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
    from megabase.inference.choices import check_memory
    from megabase.runtime.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    check_memory(memory)
    check_measured(model, device=device, genome=genome, output=output, is_folder=False)
    from megabase.evaluation.perplexity import bits_rows, evaluate_held_out, perplexity_line

    report = evaluate_held_out(
        model,
        genome,
        regions=regions,
        context_length=context_length,
        memory=memory,
        remember=remember or (),
        index=index,
        compressor=compressor,
        output=output,
        seed=seed,
        device=device,
        overwrite=overwrite,
    )
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    for name, one in report.get("genomes", {"": report}).items():
        if name:
            typer.echo(name)
        show_rows(bits_rows(one), "{:<20}{:>14}   {}")
        typer.echo(perplexity_line(one))


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
    index: Index = None,
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
    from megabase.runtime.log import start_logging

    start_logging(quiet=quiet, verbose=verbose)
    check_measured(model, device=device, genome=genome, output=output)
    from megabase.evaluation.context import PAGE, report_context

    report_context(
        model,
        genome,
        output,
        regions=regions,
        n_windows=windows,
        context_length=context_length,
        gain_only=gain_only,
        index=index,
        seed=seed,
        device=device,
        overwrite=overwrite,
    )
    typer.echo(output / PAGE)


def add_card(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("card", context_settings=FORMER_NAMES)(card)


@with_streams()
def card(
    task: Annotated[str, typer.Argument(help="Name of a task; see: megabase evaluate list.")],
    output: OutputFolder,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Pretrained language model.")
    ] = None,
    data: TaskData = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            help="Numbers of training rows to compare, with commas or repeated; default: "
            "32,128,512,all. All rows are always included."
        ),
    ] = None,
    adapt: Annotated[
        str | None,
        typer.Option(help="What to train of the pretrained model: full, head, lora or prompt."),
    ] = None,
    epochs: Epochs = None,
    seeds: Seeds = None,
    seed: FirstSeed = None,
    length: WindowLength = None,
    windows: WindowsPerClass = None,
    substitute_split: SubstituteSplit = False,
    offline: Offline = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure the benefit of pretraining: labels saved, calibration, cost of adaptation, spread.

    megabase card gue/tf/0 --data gue --model model --output card --rows 32,128,512,all
    """
    from megabase.evaluation.evaluation_check import check_adapted
    from megabase.runtime.config_file import read_config
    from megabase.runtime.log import start_logging
    from megabase.training.run_config import AdaptConfig

    start_logging(quiet=quiet, verbose=verbose)
    options: dict[str, Any] = {
        "model": model, "adapt": adapt, "epochs": epochs, "n_seeds": seeds, "seed": seed,
    }  # fmt: skip
    settings = read_config(AdaptConfig, file=config, options=options, overrides=overrides or ())
    check_adapted([task], settings, output)
    from megabase.evaluation.card import PAGE, ROWS, TEXT, evaluate_card
    from megabase.evaluation.tasks.task_data import Choice

    evaluate_card(
        task,
        output,
        choice=Choice(data, "clean", offline, substitute_split, length, windows),
        settings=settings,
        rows=",".join(rows) if rows else ROWS,
        overwrite=overwrite,
    )
    typer.echo((output / TEXT).read_text(encoding="utf-8").partition("\n## Calibration")[0])
    typer.echo(output / PAGE)
