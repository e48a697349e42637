"""megabase card: measure the benefit of pretraining on a benchmark."""

from typing import Annotated, Any

import typer

from megabase.cli.options import (
    ConfigFile,
    Epochs,
    FirstSeed,
    Offline,
    OutputFolder,
    Overrides,
    Overwrite,
    Quiet,
    Seeds,
    StandIn,
    TaskData,
    Verbose,
    WindowLength,
    WindowsOfClass,
)
from megabase.cli.streams import with_streams


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("card")(card)


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
    windows: WindowsOfClass = None,
    stand_in: StandIn = False,
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
    from megabase.run.config import read_config
    from megabase.run.log import start_logging
    from megabase.training.config import AdaptConfig

    start_logging(quiet=quiet, verbose=verbose)
    options: dict[str, Any] = {
        "model": model, "adapt": adapt, "epochs": epochs, "n_seeds": seeds, "seed": seed,
    }  # fmt: skip
    settings = read_config(AdaptConfig, file=config, options=options, overrides=overrides or ())
    check_adapted([task], settings, output)
    from megabase.evaluation.benchmark import Choice
    from megabase.evaluation.card import PAGE, ROWS, TEXT, evaluate_card

    evaluate_card(
        task,
        output,
        choice=Choice(data, "clean", offline, stand_in, length, windows),
        settings=settings,
        rows=",".join(rows) if rows else ROWS,
        overwrite=overwrite,
    )
    typer.echo((output / TEXT).read_text(encoding="utf-8").partition("\n## Calibration")[0])
    typer.echo(output / PAGE)
