"""Kill a training at random moments, again and again: its weights must be those of no kill.

python scripts/kill_and_resume.py --runs 20

Each run is the same training of 200 steps with a length warm-up, started anew after each
kill -9 until it is finished. The weights of all runs must be the same bits.
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from megabase.run.provenance import file_sha256, machine, versions

COMMAND = [
    sys.executable, "-m", "megabase", "pretrain", "--genome", "asset:ecoli", "--quiet",
    "--steps", "200", "--context-length", "256", "--set", "start_length=64",
    "--set", "tokens_per_step=512", "--set", "checkpoint_every=7", "--set", "validations=3",
]  # fmt: skip


def train(output: Path, *, kill_after: float | None = None) -> bool:
    """Run the command, or kill it after so many seconds; whether it was killed."""
    process = subprocess.Popen([*COMMAND, "--output", str(output)], stdout=subprocess.DEVNULL)
    try:
        code = process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    if code:
        sys.exit(f"the training failed with exit code {code}")
    return False


def main(
    runs: Annotated[int, typer.Option(help="How many trainings are disturbed.")] = 20,
    kills: Annotated[int, typer.Option(help="The most kills of each.")] = 3,
    seed: Annotated[int, typer.Option(help="Fixes the moments.")] = 0,
) -> None:
    """Compare disturbed runs with one that is not."""
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        started = time.monotonic()
        train(Path(folder) / "whole")
        seconds = time.monotonic() - started
        whole = file_sha256(Path(folder) / "whole" / "model.safetensors")
        n_kills = n_same = 0
        for run in range(runs):
            output = Path(folder) / f"run{run}"
            for _ in range(kills):
                n_kills += train(output, kill_after=rng.uniform(0.2, 1.0) * seconds)
            train(output)
            n_same += file_sha256(output / "model.safetensors") == whole
    print(f"{machine()}; {versions()}; seed {seed}")
    print(f"{n_same} of {runs} runs end in the same bits, after {n_kills} kills in all")
    sys.exit(n_same != runs)


if __name__ == "__main__":
    typer.run(main)
