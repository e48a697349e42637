"""Time the encoding of 1,000,000 letters to tokens: by our table and by the tokenizer.

python benchmarks/encode.py
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.model.tokenizer import HyenaDNATokenizer
from megabase.runtime.environment import machine, versions

letters = "".join(np.random.default_rng(0).choice(list("ACGTacgtN"), size=1_000_000))
tokenizer = HyenaDNATokenizer()


def milliseconds(work: Callable[[], object]) -> float:
    """Return the milliseconds of one run."""
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


table, backend = [], []
for _ in range(5):  # in turn, so that other load affects both alike
    table.append(milliseconds(lambda: DNA_VOCABULARY.encode(letters)))
    backend.append(milliseconds(lambda: tokenizer(letters)))
print(f"{machine()}; {versions()}")
print(f"1,000,000 letters by table: median {statistics.median(table):.2f} ms in 5 runs")
print(f"by the tokenizer:           median {statistics.median(backend):.0f} ms in 5 runs")
print(f"ratio {statistics.median(backend) / statistics.median(table):.0f}")
