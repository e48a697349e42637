"""Time generation, compared with recomputing the whole sequence and with direct sums.

python benchmarks/generate.py --shape 8x256 --lengths 4096 16384 65536 --output generate.json

Three ways to the same bases, in one process: ours (tiles), timed as a whole; a forward pass over
all bases so far for each new one; and our own cache with the long convolution as one sum over all
earlier tokens. The last two are timed at 20 positions (medians of 3) and integrated by linear
interpolation between them. Sequences have no prompt; weights are drawn from seed 0.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from systems import SHAPES

from megabase.inference.generation import generate
from megabase.model.cache import Cache
from megabase.model.config import HyenaDNAConfig
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.ops.online import DirectSums
from megabase.runtime.environment import stamp

_POSITIONS, _TIMES = 20, 3


def build(shape: str, length: int) -> HyenaDNAForCausalLM:
    """Build a model with a context of `length` tokens."""
    torch.manual_seed(0)
    n_layer, d_model = SHAPES[shape]
    config = HyenaDNAConfig(n_layer=n_layer, d_model=d_model, max_seq_len=length + 2)
    return HyenaDNAForCausalLM(config).eval()


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def summed(length: int, at: Callable[[int], float]) -> float:
    """Sum the seconds of all positions, interpolating linearly between 20 timed ones."""
    positions = np.linspace(1, length - 1, _POSITIONS).round().astype(int).tolist()
    sampled = [(position, at(position)) for position in positions]
    return sum((a + b) / 2 * (q - p) for (p, a), (q, b) in pairwise(sampled))


def ours(model: HyenaDNAForCausalLM, length: int) -> float:
    """Time the generation of one sequence, including preparation."""
    return seconds(lambda: generate(model, [np.zeros(0, dtype=np.uint8)], length))


def recomputing(model: HyenaDNAForCausalLM, length: int) -> float:
    """Time recomputing the logits after each base from all bases so far."""

    def at(position: int) -> float:
        tokens = torch.full((1, position), 7)
        work = lambda: model(tokens, logits_to_keep=1)  # noqa: E731
        with torch.inference_mode():
            work()
            return statistics.median(seconds(work) for _ in range(_TIMES))

    return summed(length, at)


def direct(model: HyenaDNAForCausalLM, length: int) -> float:
    """Time steps from the cache, with each long convolution as a direct sum."""
    cache = Cache(model.backbone, length, make_sums=DirectSums)
    token = torch.tensor([7])
    cache.absorb(token[None])

    def at(position: int) -> float:
        cache.sums.position = position
        cache.step(token)
        times = []
        for _ in range(_TIMES):
            cache.sums.position = position
            times.append(seconds(lambda: cache.step(token)))
        return statistics.median(times)

    return summed(length, at)


def measure(shape: str, length: int, recompute_up_to: int) -> dict[str, Any]:
    """Measure one length in all three ways."""
    model = build(shape, length)
    row: dict[str, Any] = {"length": length, "ours": ours(model, length)}
    if length <= recompute_up_to:
        row["recomputing"] = recomputing(model, length)
    return {**row, "direct": direct(model, length)}


def exponent(rows: list[dict[str, Any]]) -> float:
    """Return the slope of log seconds against log length, from the first row to the last."""
    first, last = rows[0], rows[-1]
    return math.log(last["ours"] / first["ours"]) / math.log(last["length"] / first["length"])


def main() -> None:
    """Print a table and write the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=tuple(SHAPES), default="8x256")
    parser.add_argument("--lengths", type=int, nargs="+", default=[4096, 16_384, 65_536])
    parser.add_argument("--recompute-up-to", type=int, default=16_384)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    about = {**stamp(), "shape": arguments.shape, "threads": arguments.threads}
    print(f"{about['machine']}; {arguments.threads} threads; {about['versions']}")
    print(f"{'length':>8}{'ours s':>9}{'ms/base':>9}{'recomputing':>22}{'direct sums':>22}")
    ours(build(arguments.shape, 512), 512)
    rows = []
    for length in arguments.lengths:
        row = measure(arguments.shape, length, arguments.recompute_up_to)
        rows.append(row)
        print(f"{length:>8,}{row['ours']:>9.2f}{1e3 * row['ours'] / length:>9.3f}", end="")
        for way in ("recomputing", "direct"):
            told = f"{row[way]:,.0f} s {row[way] / row['ours']:.1f} x" if way in row else ""
            print(f"{told:>22}", end="")
        print(flush=True)
    if len(rows) > 1:
        about["exponent"] = exponent(rows)
        print(f"exponent {about['exponent']:.3f}")
    if arguments.output:
        arguments.output.write_text(
            json.dumps({**about, "results": rows}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
