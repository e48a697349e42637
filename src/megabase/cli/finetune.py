"""megabase finetune: adapt a model to labelled sequences."""

from pathlib import Path
from typing import Annotated, Any

import typer

from megabase.cli.options import (
    ConfigFile,
    Crop,
    Delimiter,
    Epochs,
    FirstSeed,
    LabelColumn,
    Overrides,
    Overwrite,
    Quiet,
    Seeds,
    SequenceColumn,
    Verbose,
)
from megabase.cli.streams import with_streams
from megabase.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("finetune")(finetune)


@with_streams()
def finetune(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder to write.")] = None,
    train: Annotated[
        str | None,
        typer.Option(
            help="Training table (CSV, TSV or Parquet) with columns sequence,label or "
            "contig,start,end,label; or a folder with one FASTA file per class."
        ),
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Validation table or folder; default: a tenth of --train.")
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="Test table or folder; measured once at the end, never used for selection."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Language model to start from; default: random weights."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Size of a model trained from scratch: tiny (default), small, large, ..."
        ),
    ] = None,
    adapt: Annotated[
        str | None, typer.Option(help="What to train: full (all weights), head, lora or prompt.")
    ] = None,
    genome: Annotated[
        str | None,
        typer.Option(
            "--genome", "-g", help="Genome, if the tables have intervals in place of sequences."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Per-base labels of the genome: BED (classes), bedGraph or bigWig (values)."
        ),
    ] = None,
    sequence_column: SequenceColumn = None,
    label_column: LabelColumn = None,
    label_text: Annotated[
        str | None,
        typer.Option(
            help="Labels that differ only in blanks, case or number format: checked (raise an "
            "error), merge (into one class) or exact (keep as separate classes)."
        ),
    ] = None,
    delimiter: Delimiter = None,
    crop: Crop = None,
    kind: Annotated[
        str | None, typer.Option(help="Problem: auto, classification, multilabel or regression.")
    ] = None,
    epochs: Epochs = None,
    seeds: Seeds = None,
    seed: FirstSeed = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B,...",
            help="Values to try; the best on validation is used; may be repeated.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Device: auto or cpu.")] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the configuration and exit.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Adapt a model to labelled sequences with several seeds; save the best on validation.

    megabase finetune --train train.csv --test test.csv --model model --output classifier

    megabase finetune --train train.csv --output classifier --preset tiny --set batch_size=128

    megabase finetune --train regions.bed --genome genome.fa --labels exons.bed --output tagger

    megabase finetune --train t.csv -m model -o best --sweep learning_rate=3e-4,1e-3
    """
    from megabase.run.config import read_config, to_yaml
    from megabase.run.log import start_logging
    from megabase.training.config import FinetuneConfig
    from megabase.training.training_check import check_finetune

    start_logging(quiet=quiet, verbose=verbose)
    options: dict[str, Any] = {
        "train": train, "validation": validation, "test": test, "model": model,
        "preset": preset, "adapt": adapt, "genome": genome, "labels": labels, "crop": crop,
        "sequence_column": sequence_column, "label_column": label_column,
        "label_text": label_text, "delimiter": delimiter, "kind": kind,
        "epochs": epochs, "n_seeds": seeds, "seed": seed, "device": device,
    }  # fmt: skip
    tried = [f"sweep.{_swept(text)}" for text in sweep or ()]
    overrides = [*(overrides or ()), *tried]
    settings = read_config(FinetuneConfig, file=config, options=options, overrides=overrides)
    if print_config:
        typer.echo(to_yaml(settings), nl=False)
        return
    if output is None:
        raise InputError("an output folder is required: --output DIR")
    check_finetune(settings, output)
    from megabase.training.finetune import finetune as run

    run(settings, output, overwrite=overwrite)
    typer.echo(output)


def _swept(text: str) -> str:
    """Return KEY=A,B as an override with a list."""
    key, equals, values = text.partition("=")
    if not equals or not key:
        raise InputError(f"--sweep takes KEY=A,B,...; got {text!r}")
    return f"{key}=[{values}]"
