"""Memory and time of learning soft prompts of several lengths, each by `megabase finetune`.

python scripts/prompt_memory.py --table train.tsv.gz

A language model of the preset tiny with a context of 40,000 tokens and random weights stands
frozen; some rows of a labelled table are learnt in steps of 16, in a process of its own for
each length, whose peak resident size and time are told. The time of a step is the difference
between a run of three epochs and one of one, over the steps between; validation is in it. It is in
seconds of one core, all threads added up, which other work on the machine hardly changes.
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
from megabase.run.provenance import machine, versions

BATCH, EPOCHS = 16, 3


def take_rows(table: Path, output: Path, n_rows: int) -> None:
    """Write as many rows of each of the first two classes of a TSV."""
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
    """Give the seconds of one core, and the peak in GiB, of one run."""
    command = [
        sys.executable, "-m", "megabase", "finetune", "--quiet", "--overwrite", "--adapt", "prompt",
        "--model", folder / "language", "--train", folder / "train.csv",
        "--validation", folder / "validation.csv", "--output", folder / "out",
        "--seeds", "1", "--epochs", str(epochs), "--device", "cpu",
        "--set", f"prompt_tokens={n_tokens}", "--set", f"batch_size={BATCH}",
    ]  # fmt: skip
    passive = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # a thread that waits does no work
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, env=passive)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"finetune ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def main(
    table: Annotated[Path, typer.Option(help="TSV with sequence and label.")],
    rows: Annotated[int, typer.Option(help="How many are learnt.")] = 32,
    context: Annotated[int, typer.Option(help="Of the model, in tokens.")] = 40_000,
    lengths: Annotated[str, typer.Option(help="Of the prompts.")] = "2,32,512,8192,32768",
) -> None:
    """Measure each length."""
    print(f"{machine()}; {versions()}")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(HyenaDNAForCausalLM(HyenaDNAConfig.from_preset("tiny", context)), folder / "language")
        take_rows(table, folder / "train.csv", rows)
        take_rows(table, folder / "validation.csv", 4)
        print(f"{'prompt tokens':>13}{'peak GiB':>10}{'core s a step':>15}")
        for n_tokens in map(int, lengths.split(",")):
            short, _ = measured(folder, n_tokens, 1)
            long, peak = measured(folder, n_tokens, EPOCHS)
            step = (long - short) / ((EPOCHS - 1) * rows / BATCH)
            print(f"{n_tokens:>13,}{peak:>10.2f}{step:>15.2f}", flush=True)


if __name__ == "__main__":
    typer.run(main)
