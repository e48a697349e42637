"""Measure memory and time of training soft prompts of several lengths by `megabase finetune`.

python scripts/prompt_memory.py --table train.tsv.gz

A frozen language model of the preset tiny has a context of 40,000 tokens and random weights. For
each length, some rows of a labelled table are trained on in steps of 16, in a separate process,
whose peak resident size and time are printed. The time of a step is the difference between runs of
three epochs and of one, divided by the steps between; it includes validation. It is in seconds of
one core, summed over threads, which other load hardly changes.
"""

import csv
import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer

from megabase.model.config import HyenaDNAConfig
from megabase.model.load import save
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.runtime.environment import machine, versions

BATCH, EPOCHS = 16, 3


def take_rows(table: Path, output: Path, n_rows: int) -> None:
    """Write the first `n_rows` / 2 rows of each of the first two classes of a TSV file."""
    opened = (
        gzip.open(table, "rt", encoding="utf-8")
        if table.suffix == ".gz"
        else table.open(encoding="utf-8")
    )
    with opened as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    labels = sorted({row["label"] for row in rows})[:2]
    chosen = [[row for row in rows if row["label"] == label][: n_rows // 2] for label in labels]
    with output.open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for part in chosen for row in part)


def measured(folder: Path, n_tokens: int, epochs: int) -> tuple[float, float]:
    """Return the processor seconds and the peak memory in GiB of one run."""
    command = [
        sys.executable, "-m", "megabase", "finetune", "--quiet", "--overwrite", "--adapt", "prompt",
        "--model", folder / "language", "--train", folder / "train.csv",
        "--validation", folder / "validation.csv", "--output", folder / "out",
        "--seeds", "1", "--epochs", str(epochs), "--device", "cpu",
        "--set", f"prompt_tokens={n_tokens}", "--set", f"batch_size={BATCH}",
    ]  # fmt: skip
    # Waiting threads must not spin: that would count as processor time.
    passive = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, env=passive)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"finetune ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def main(
    table: Annotated[Path, typer.Option(help="TSV file with sequence and label.")],
    rows: Annotated[int, typer.Option(help="Number of training rows.")] = 32,
    context: Annotated[int, typer.Option(help="Context length of the model in tokens.")] = 40_000,
    lengths: Annotated[
        str, typer.Option(help="Lengths of the prompts in tokens.")
    ] = "2,32,512,8192,32768",
) -> None:
    """Measure each length and print a table."""
    print(f"{machine()}; {versions()}")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(HyenaDNAForCausalLM(HyenaDNAConfig.from_preset("tiny", context)), folder / "language")
        take_rows(table, folder / "train.csv", rows)
        take_rows(table, folder / "validation.csv", 4)
        print(f"{'prompt tokens':>13}{'peak GiB':>10}{'core s per step':>17}")
        for n_tokens in map(int, lengths.split(",")):
            short, _ = measured(folder, n_tokens, 1)
            long, peak = measured(folder, n_tokens, EPOCHS)
            step = (long - short) / ((EPOCHS - 1) * rows / BATCH)
            print(f"{n_tokens:>13,}{peak:>10.2f}{step:>17.2f}", flush=True)


if __name__ == "__main__":
    typer.run(main)
