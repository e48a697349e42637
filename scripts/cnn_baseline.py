"""Train the convolutional baseline on a labelled table, and measure it.

python scripts/cnn_baseline.py TRAIN [--test TEST] [--set KEY=VALUE]

Tables and keys are those of `megabase finetune`; a tenth of TRAIN is validation. Prints each
epoch's validation, and the test rows with bootstrap intervals where they are asked for.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from megabase.inference.predict import predictions
from megabase.measure.metrics import intervals_of, metrics_of
from megabase.run.config import read_config
from megabase.run.log import progress
from megabase.training.cnn import fit_cnn
from megabase.training.config import FinetuneConfig
from megabase.training.labelled import read_labelled


def main(
    train: str,
    test: Annotated[str | None, typer.Option(help="Table to measure on at the end.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE")] = None,
) -> None:
    """Train from one seed, and print what became of it."""
    given = {"train": train} | ({} if test is None else {"test": test})
    config = read_config(FinetuneConfig, options=given, overrides=changes or ())
    data = read_labelled(config, None)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, progress(config.epochs, "CNN", "epochs") as meter:
        network, record = fit_cnn(config, data, seed=config.seed, folder=Path(folder), meter=meter)
    record["seconds"] = round(time.perf_counter() - started, 1)
    if data.test is not None:
        answers = np.stack(list(predictions(network, data.test.sequences, strand=config.strand)))
        answers = answers[:, 0] if data.kind == "regression" else answers
        record["test"] = metrics_of(data.kind, data.test.labels, answers)
        record["intervals"] = intervals_of(data.kind, data.test.labels, answers, seed=config.seed)
    typer.echo(json.dumps(record, indent=2))


if __name__ == "__main__":
    typer.run(main)
