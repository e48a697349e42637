"""megabase pretrain: train a language model on genomes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from megabase.cli.options import (
    ConfigFile,
    Overrides,
    Overwrite,
    Quiet,
    Verbose,
)
from megabase.cli.streams import with_streams
from megabase.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("pretrain")(pretrain)


@with_streams()
def pretrain(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder to write.")] = None,
    genome: Annotated[
        list[str] | None,
        typer.Option(
            "--genome",
            "-g",
            help="FASTA or 2bit file, or asset:ecoli; repeat for several genomes.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Language model to continue training; default: train from scratch.",
        ),
    ] = None,
    config: ConfigFile = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    context_length: Annotated[int | None, typer.Option(help="Window length in tokens.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Model size: tiny, small, large, 40m, 140m, 400m, 1b, hyenadna-8x256, ..."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of the weights and windows.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Device: auto or cpu.")] = None,
    overrides: Overrides = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the configuration and exit.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Pretrain a language model on genomes and save it as a Hugging Face folder.

    megabase pretrain --genome genome.fa --output model --steps 2000

    megabase pretrain --config configs/ecoli.yaml --output model --set learning_rate=1e-3

    megabase pretrain --model asset:default -g yeast.fa -g worm.fa --output model --steps 500
    """
    from megabase.run.config import read_config, to_yaml
    from megabase.run.environment import is_first_process
    from megabase.run.log import start_logging
    from megabase.training.config import PretrainConfig, genome_options
    from megabase.training.training_check import check_pretrain

    start_logging(quiet=quiet or not is_first_process(), verbose=verbose)
    options: dict[str, Any] = {
        **genome_options(genome or ()),
        "model": model,
        "steps": steps,
        "context_length": context_length,
        "preset": preset,
        "seed": seed,
        "device": device,
    }
    settings = read_config(PretrainConfig, file=config, options=options, overrides=overrides or ())
    if print_config:
        typer.echo(to_yaml(settings), nl=False)
        return
    if output is None:
        raise InputError("an output folder is required: --output DIR")
    check_pretrain(settings, output)
    from megabase.training.pretrain import pretrain as run

    run(settings, output, overwrite=overwrite)
    if is_first_process():
        typer.echo(output)
