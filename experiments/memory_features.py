"""Compare rules of the memory by a small network at each position, without convolution.

python experiments/memory_features.py --genome asset:ecoli --test-start 4175707 \
    --variant orders=3,6,9,11,12 --variant orders=3,6,9,11,12:pointer_orders=12:n_recent=16

Each variant changes fields of `MemoryRules`. The memory reads the contig once; its features at
windows of the training part, drawn at random, train an MLP on features and the last 16 letters,
and windows that cover the test part are scored. Prints bits per base, and microseconds per letter
of reading.
"""

import argparse
import json
import math
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from megabase.data.remembered_windows import GenomeText
from megabase.data.token_store import open_token_store
from megabase.ops.backends import new_memory
from megabase.ops.memory import UNKNOWN, MemoryRules, Odds, default_odds, fitted_odds
from megabase.ops.native_memory import NativeMemory
from megabase.runtime.environment import stamp
from megabase.runtime.location import cache_folder, genome_path

WINDOW, LETTERS, POSITIONS, FITTED_ON = 1024, 16, 4096, 1 << 22
BASE = MemoryRules(
    orders=(3, 6, 9, 11, 12), pointer_orders=(11,), n_recent=8, n_agreeing=22, n_exact=16, n_right=6
)


class Sample(NamedTuple):
    """Positions whose next letter is predicted, with their features and letters."""

    features: np.ndarray
    letters: np.ndarray
    targets: np.ndarray


def parse(variant: str) -> MemoryRules:
    """Return the rules that a variant describes: KEY=VALUE, separated by colons."""
    changes = dict(part.split("=") for part in variant.split(":") if part)
    values = {
        key: tuple(map(int, filter(None, value.split(",")))) if "orders" in key else int(value)
        for key, value in changes.items()
    }
    return replace(BASE, **values)


def read_features(
    letters: np.ndarray, rules: MemoryRules, odds: Odds, starts: dict[str, np.ndarray]
) -> tuple[dict[str, Sample], float]:
    """Return the positions of each part, and the microseconds per letter of reading."""
    parts = {}
    for name, firsts in starts.items():
        is_in = np.zeros(len(letters), bool)
        for start in firsts:
            is_in[start : start + WINDOW - 1] = True
        parts[name] = is_in
    parts["train"] &= ~parts["test"]
    wanted = parts["train"] | parts["test"]
    memory = new_memory(rules, odds, expected=len(letters))
    started = time.process_time()
    features = memory.read(letters, wanted)
    used = 1e6 * (time.process_time() - started) / len(letters)
    row = np.cumsum(wanted, dtype=np.int64) - 1
    found = {}
    for name, is_in in parts.items():
        at = np.nonzero(is_in[:-1] & (letters[:-1] < UNKNOWN) & (letters[1:] < UNKNOWN))[0]
        at = at[at >= LETTERS]
        last = np.stack([letters[at - i] for i in range(LETTERS)], axis=1)
        found[name] = Sample(features[row[at]], last, letters[at + 1])
    return found, used


class Network(nn.Module):
    """An MLP and a linear map from features and one-hot letters to four logits."""

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(n_inputs, 256), nn.GELU(), nn.Linear(256, 128), nn.GELU(), nn.Linear(128, 4)
        )
        self.skip = nn.Linear(n_inputs, 4)

    def loss(self, sample: Sample, rows: np.ndarray | slice) -> torch.Tensor:
        """Return the loss of each position in nats."""
        letters = torch.from_numpy(sample.letters[rows]).long()
        known = functional.one_hot(letters, 5)[..., :4].flatten(1).float()
        inputs = torch.cat([torch.from_numpy(sample.features[rows]).float(), known], dim=1)
        targets = torch.from_numpy(sample.targets[rows]).long()
        logits = self.mlp(inputs) + self.skip(inputs)
        return functional.cross_entropy(logits, targets, reduction="none")


def train(samples: dict[str, Sample], steps: int, seed: int) -> float:
    """Return the bits per base of the test part after training."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    of_train = samples["train"]
    network = Network(of_train.features.shape[1] + 4 * LETTERS)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = np.sort(rng.choice(len(of_train.targets), POSITIONS))
        optimizer.zero_grad()
        network.loss(of_train, rows).mean().backward()
        optimizer.step()
        schedule.step()
    n, total = len(samples["test"].targets), 0.0
    with torch.no_grad():
        for start in range(0, n, 1 << 14):
            total += float(network.loss(samples["test"], slice(start, start + (1 << 14))).sum())
    return total / n / math.log(2)


def main() -> None:
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genome", default="asset:ecoli", help="its first contig is read")
    parser.add_argument("--test-start", type=int, required=True, help="first base of the test part")
    parser.add_argument("--variant", action="append", required=True)
    parser.add_argument("--windows", type=int, default=3200, help="windows of the training part")
    parser.add_argument("--test-windows", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    store = open_token_store(genome_path(arguments.genome), cache=cache_folder())
    text = GenomeText(store, store.contigs()[:1])
    letters, cut = text.read(0, len(text)), arguments.test_start
    rng = np.random.default_rng(0)
    starts = {
        "train": rng.integers(cut // 8, cut - WINDOW, arguments.windows),
        "test": np.linspace(cut, len(text) - WINDOW, arguments.test_windows).astype(np.int64),
    }
    for variant in arguments.variant:
        rules = parse(variant)
        fitted = new_memory(rules, default_odds(), expected=min(cut, FITTED_ON))
        if not isinstance(fitted, NativeMemory):
            raise SystemExit("this experiment needs the compiled memory")
        fitted.count_outcomes()
        for start in range(0, min(cut, FITTED_ON), 1 << 16):
            fitted.read(letters[start : start + (1 << 16)])
        odds = fitted_odds(fitted.outcomes())
        samples, used = read_features(letters, rules, odds, starts)
        bits = [train(samples, arguments.steps, seed) for seed in arguments.seeds]
        row = {"variant": variant, "features": rules.n_features, "bits": bits, "read_us": used}
        print(json.dumps(row), flush=True)
    print(json.dumps({"genome_sha256": store.sha256, **stamp()}))


if __name__ == "__main__":
    main()
