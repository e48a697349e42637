"""megabase evaluate few-shot: classify from demonstrations in the input."""

from typing import Annotated

import typer

from megabase.cli.options import (
    Device,
    Model,
    Offline,
    OutputFolder,
    Overwrite,
    Quiet,
    TaskData,
    Verbose,
)
from megabase.cli.streams import with_streams
from megabase.errors import InputError


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
    from megabase.run.log import start_logging

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
