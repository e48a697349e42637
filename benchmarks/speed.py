"""Measure time and memory of a forward pass or training step by length, for several systems.

python benchmarks/speed.py --mode forward --shape 8x256 --lengths 1024 8192 32768 \
    --systems megabase transformer reference --reference CLONE --output speed.json

Every system runs in its own process, on one sequence of random bases; within each round the systems
take turns. Prints medians, and ratios to the first system. The system `reference` needs a clone of
the original repository (github.com/HazyResearch/hyena-dna) and einops. Mamba is the implementation
in transformers, without its own kernels.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from systems import SHAPES, SYSTEMS

from megabase.runtime.environment import stamp


class Worker:
    """Run a system in its own process (worker.py)."""

    def __init__(self, arguments: argparse.Namespace, system: str, length: int) -> None:
        script = str(Path(__file__).with_name("worker.py"))
        command = [sys.executable, script, arguments.mode, system, arguments.shape, str(length),
                   arguments.device]  # fmt: skip
        command += [str(arguments.reference)] if arguments.reference else []
        self.system = system
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.n_parameters = self._read()["ready"]
        self.runs: list[dict[str, float]] = []

    def run(self, *, counts: bool) -> None:
        """Run once; keep the result if it `counts`."""
        if self._process.stdin is None:
            raise RuntimeError("the worker has no input")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        result = self._read()
        if counts:
            self.runs.append(result)

    def close(self) -> dict[str, Any]:
        """End the process and return medians and extremes of its runs."""
        self._process.communicate()
        seconds = [run["seconds"] for run in self.runs]
        return {
            "system": self.system,
            "parameters": self.n_parameters,
            "seconds": statistics.median(seconds),
            "fastest": min(seconds),
            "slowest": max(seconds),
            "cpu_seconds": statistics.median(run["cpu"] for run in self.runs),
            "peak_gib": max(run["peak_gib"] for run in self.runs),
        }

    def _read(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise RuntimeError("the worker has no output")
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the worker of {self.system} ended; its error is printed above")
        return json.loads(line)


def measure(arguments: argparse.Namespace, length: int) -> list[dict[str, Any]]:
    """Measure all systems in turn at one length."""
    workers = [Worker(arguments, system, length) for system in arguments.systems]
    for turn in range(arguments.warm_up + arguments.runs):
        for worker in workers:
            worker.run(counts=turn >= arguments.warm_up)
    return [worker.close() for worker in workers]


def main() -> None:
    """Measure all lengths, print a table and write the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mode", choices=("forward", "training"), default="forward")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="8x256")
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 8192, 32_768])
    parser.add_argument("--systems", choices=SYSTEMS, nargs="+", default=["megabase"])
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    about = {**stamp(), "mode": arguments.mode, "shape": arguments.shape, "runs": arguments.runs,
             "device": arguments.device}  # fmt: skip
    print(f"{about['machine']}; {about['versions']}")
    print(f"{arguments.mode}, {arguments.shape}, medians of {arguments.runs} runs in turn")
    print(
        f"{'length':>9}  {'system':<24}{'s':>9}{'CPU s':>9}{'tokens/s':>10}{'GiB':>7}{'ratio':>7}"
    )
    results = []
    for length in arguments.lengths:
        rows = measure(arguments, length)
        for row in rows:
            ratio = row["seconds"] / rows[0]["seconds"]
            print(
                f"{length:>9,}  {row['system']:<24}{row['seconds']:>9.3f}{row['cpu_seconds']:>9.2f}"
                f"{length / row['seconds']:>10,.0f}{row['peak_gib']:>7.2f}{ratio:>7.2f}",
                flush=True,
            )
            results.append({"length": length, **row})
    if arguments.output:
        arguments.output.write_text(
            json.dumps({**about, "results": results}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
