"""Measure the processor time of short commands: refusals, configurations, info, doctor, a score.

python benchmarks/startup.py --runs 5
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from megabase.runtime.environment import machine, versions

COMMANDS = {
    "--help": "--help",
    "a refused option": "score -i a.fa -o refused.tsv --strand reverse",
    "a missing input": "score -i none.fa -o refused.tsv",
    "a mistyped model": "score -i a.fa -o refused.tsv --model nowhere/at/all",
    "pretrain --print-config": "pretrain --genome asset:ecoli --print-config",
    "info of a missing model": "info --model nowhere/at/all",
    "info": "info --length 64",
    "doctor": "doctor",
    "score, 36 bp": "score -i a.fa -o scores.tsv --overwrite --quiet",
}


def processor_seconds(command: list[str], folder: str) -> float:
    """Run a command to its end and return its time in user and system mode."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median and the range of each command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    n_runs = parser.parse_args().runs
    print(f"{machine()}; {versions()}")
    with TemporaryDirectory() as folder:
        Path(folder, "a.fa").write_text(
            ">a\nACGTACGTTTGACAGGACATTTACGAGCATCAGCAT\n", encoding="utf-8"
        )
        rows = {"import torch": [sys.executable, "-c", "import torch"]} | {
            name: [sys.executable, "-m", "megabase", *text.split()]
            for name, text in COMMANDS.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(n_runs):
            for name, command in rows.items():
                seconds[name].append(processor_seconds(command, folder))
    for name, each in seconds.items():
        median = statistics.median(each)
        print(f"{name:<26}{median:7.2f} s ({min(each):.2f} to {max(each):.2f} in {n_runs} runs)")


if __name__ == "__main__":
    main()
