"""Time log-likelihoods of windows that are read one by one and in batches.

python benchmarks/batches.py --lengths 256 1024 4096 --batch-tokens 1 8192 32768

Batches of different sizes take turns. Prints medians of wall time, relative to windows that are
read one by one, and the largest difference of a log-likelihood from these, in nats.
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch

from megabase.inference.likelihood import log_likelihoods
from megabase.inference.predictor import Predictor
from megabase.model.files import DEFAULT_MODEL
from megabase.runtime.environment import stamp


def measure(predictor: Predictor, length: int, sizes: list[int], rounds: int) -> list[dict]:
    """Return ratio of time and largest difference of each batch size, for windows of a length."""
    rng = np.random.default_rng(0)
    sequences = rng.integers(7, 11, (max(2, (1 << 16) // length), length)).astype(np.uint8)
    seconds: dict[int, list[float]] = {size: [] for size in sizes}
    values: dict[int, np.ndarray] = {}
    for _ in range(rounds + 1):
        for size in sizes:
            started = time.perf_counter()
            found = list(log_likelihoods(predictor.language, sequences, tokens_per_batch=size))
            seconds[size].append(time.perf_counter() - started)
            values[size] = np.stack(found)
    first = sizes[0]
    medians = {
        size: statistics.median(times[1:]) for size, times in seconds.items()
    }  # [0] warms up
    return [
        {
            "length": length,
            "batch_tokens": size,
            "ratio": round(medians[size] / medians[first], 3),
            "seconds": round(medians[size], 4),
            "largest_difference": float(np.abs(values[size] - values[first]).max()),
        }
        for size in sizes
    ]


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=[1, 8192, 32768])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    predictor = Predictor.load(arguments.model, device=arguments.device)
    rows = [
        row
        for length in arguments.lengths
        for row in measure(predictor, length, arguments.batch_tokens, arguments.rounds)
    ]
    threads = torch.get_num_threads()
    print(json.dumps({"rows": rows, "threads": threads, **stamp()}, indent=2))


if __name__ == "__main__":
    main()
