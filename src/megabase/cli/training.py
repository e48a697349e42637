"""megabase pretrain, finetune, predict: train a model, adapt it, and apply it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from megabase.cli.options import (
    ConfigFile,
    Crop,
    Delimiter,
    Epochs,
    FirstSeed,
    LabelColumn,
    OutputFile,
    Overrides,
    Overwrite,
    Quiet,
    Seeds,
    SequenceColumn,
    Strand,
    TrainingDevice,
    Verbose,
    with_run_options,
)
from megabase.cli.streams import with_streams
from megabase.errors import InputError

if TYPE_CHECKING:
    from megabase.pipelines.pipeline import RunOptions


def add_pretrain(app: typer.Typer) -> None:
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
            help="FASTA or 2bit file, or asset:ecoli; repeat for several genomes. Required, unless "
            "--config states it.",
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
    steps: Annotated[int | None, typer.Option(help="Optimiser steps; default: 1,000.")] = None,
    context_length: Annotated[
        int | None,
        typer.Option(help="Length of windows in tokens, and context of the model; default: 1,024."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Size: tiny (the default), small, large; 40m to 1b parameters; or as published: "
            "hyenadna-8x256, ..."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of the weights and windows; default: 0.")
    ] = None,
    device: TrainingDevice = None,
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
    from megabase.runtime.config_file import read_config, to_yaml
    from megabase.runtime.environment import is_first_process
    from megabase.runtime.log import start_logging
    from megabase.training.run_config import PretrainConfig, genome_options
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


def add_finetune(app: typer.Typer) -> None:
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
    device: TrainingDevice = None,
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
    from megabase.runtime.config_file import read_config, to_yaml
    from megabase.runtime.log import start_logging
    from megabase.training.run_config import FinetuneConfig
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


def add_predict(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("predict")(predict)


def _suffix_of_table(options: Mapping[str, Any]) -> str:
    from megabase.pipelines.preflight import suffix_on_stream

    return suffix_on_stream(options["source"])


@with_streams(reads=("source", "genome"), writes=_suffix_of_table)
@partial(with_run_options, without="index")
def predict(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Folder written by finetune, or a hub id.")
    ],
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            "-i",
            help="FASTA, FASTQ or BED; or a table with columns sequence or contig,start,end.",
        ),
    ],
    output: OutputFile,
    genome: Annotated[
        str | None,
        typer.Option(
            "--genome", "-g", help="Genome, if the input has intervals in place of sequences."
        ),
    ] = None,
    crop: Crop = None,
    sequence_column: SequenceColumn = None,
    delimiter: Delimiter = None,
    strand: Strand = "forward",
    *,
    options: "RunOptions",
) -> None:
    """Predict the label of each row or base; append the columns predicted and p_CLASS.

    megabase predict --model model --input unknown.csv --output predictions.csv
    """
    from megabase.pipelines.preflight import check_predict

    check_predict(model, source, output, genome=genome, strand=strand)
    from megabase.pipelines.predict import predict as run

    run(
        model, source, output, genome=genome, crop=crop,
        sequence_column=sequence_column or "sequence", delimiter=delimiter, strand=strand,
        options=options,
    )  # fmt: skip
    typer.echo(output)
