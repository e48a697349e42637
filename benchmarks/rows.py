"""Time a fine-tuning step on short rows of unequal lengths, padded on the right.

python benchmarks/rows.py --rows 32 --longest 400 --engines lean plain

Rows are random bases in two classes, from half the longest length to the longest. The engines take
turns. Prints medians of wall time and of processor time, which other load affects less.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from megabase.model.classification import HyenaDNAForSequenceClassification
from megabase.model.config import HyenaDNAConfig
from megabase.ops.backends import Engine
from megabase.runtime.environment import stamp


def make_step(preset: str, engine: str, n_rows: int, longest: int) -> Callable[[], None]:
    """Return the step that is timed: forward, backward and AdamW on one batch."""
    torch.manual_seed(0)
    config = HyenaDNAConfig.from_preset(preset, longest)
    config.num_labels, config.pooling = 2, "max"
    model = HyenaDNAForSequenceClassification(config).train()
    model.backbone.engine = Engine(engine)
    optimizer = torch.optim.AdamW(model.parameters())
    tokens, labels = torch.randint(7, 11, (n_rows, longest)), torch.randint(0, 2, (n_rows,))
    mask = torch.arange(longest) < torch.randint(longest // 2, longest + 1, (n_rows, 1))

    def step() -> None:
        model(tokens, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def timed(step: Callable[[], None]) -> tuple[float, float]:
    """Return wall and processor seconds of one step."""
    started, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - started, time.process_time() - cpu


def main() -> None:
    """Time the engines in turn, print medians and write the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--engines", nargs="+", default=["lean", "plain"])
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--longest", type=int, default=400)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    about = stamp()
    print(f"{about['machine']}; {about['versions']}; {torch.get_num_threads()} threads")
    steps = {
        engine: make_step(arguments.preset, engine, arguments.rows, arguments.longest)
        for engine in arguments.engines
    }
    for step in steps.values():
        step()
    runs: dict[str, list[tuple[float, float]]] = {engine: [] for engine in steps}
    for _ in range(arguments.runs):
        for engine, step in steps.items():
            runs[engine].append(timed(step))
    results = []
    for engine, pairs in runs.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        rate = arguments.rows * arguments.longest / wall
        print(f"{engine:<8}{wall:>8.3f} s{cpu:>8.3f} CPU s{rate:>10,.0f} tokens/s")
        results.append({"engine": engine, "seconds": wall, "cpu_seconds": cpu})
    if arguments.output:
        arguments.output.write_text(
            json.dumps({**about, "results": results}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
