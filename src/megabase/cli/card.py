"""megabase card: what pretraining is worth on a benchmark."""

from pathlib import Path
from typing import Annotated, Any

import typer

from megabase.cli.options import OutputFolder, Overwrite, Quiet


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("card")(card)


def card(
    task: Annotated[str, typer.Argument(help="Name of a task, as of evaluate list.")],
    output: OutputFolder,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Pretrained language model.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Folder of the data; default: the hub.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="Numbers of training rows; 32,128,512,all unless said.")
    ] = None,
    adapt: Annotated[
        str | None, typer.Option(help="What moves of the pretrained model: as of finetune.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="The most, 10 unless said.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many, 3 unless said.")] = None,
    seed: Annotated[int | None, typer.Option(help="The first; also of splits.")] = None,
    length: Annotated[int | None, typer.Option(min=2, help="Of windows that are cut, bp.")] = None,
    windows: Annotated[
        int | None, typer.Option(min=1, help="Of each class, where they are drawn.")
    ] = None,
    stand_in: Annotated[
        bool, typer.Option("--stand-in", help="Other rows stand in for a split that is missing.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not go to the hub.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML file of how it is adapted.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the configuration."),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Evaluation card: labels saved by pretraining, calibration, cost to adapt, spread.

    megabase card gue/tf/0 --data gue --model model --output card --rows 32,128,512,all
    """
    from megabase.evaluation.benchmark import Choice
    from megabase.evaluation.card import PAGE, ROWS, TEXT, evaluate_card
    from megabase.run.config import read_config
    from megabase.run.log import start_logging
    from megabase.training.config import AdaptConfig

    start_logging(quiet=quiet)
    options: dict[str, Any] = {
        "model": model, "adapt": adapt, "epochs": epochs, "n_seeds": seeds, "seed": seed,
    }  # fmt: skip
    settings = read_config(AdaptConfig, file=config, options=options, overrides=overrides or ())
    evaluate_card(
        task,
        output,
        choice=Choice(data, "clean", offline, stand_in, length, windows),
        settings=settings,
        rows=rows or ROWS,
        overwrite=overwrite,
    )
    typer.echo((output / TEXT).read_text().partition("\n## Calibration")[0])
    typer.echo(output / PAGE)
