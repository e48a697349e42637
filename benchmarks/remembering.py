"""Time the memory: its letters, and forward, training and generation with and without it.

python benchmarks/remembering.py --genome asset:ecoli --lengths 32768 1000000 --presets tiny large

Passes with and without a memory take turns. Prints medians of wall time and their ratios.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from megabase.data.remembered_windows import GenomeText
from megabase.data.token_store import open_token_store
from megabase.model.cache import Cache
from megabase.model.config import HyenaDNAConfig
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.ops.backends import new_memory
from megabase.ops.memory import MemoryRules, default_odds
from megabase.runtime.environment import stamp
from megabase.runtime.location import cache_folder, genome_path

ORDERS, SEEDS = [2, 3, 4, 6, 8, 9, 10, 11, 12], [11]


def seconds_of(run: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def reading(genome: str) -> dict[str, float]:
    """Return the microseconds per letter of remembering a genome, and of computing features."""
    store = open_token_store(genome_path(genome), cache=cache_folder())
    text = GenomeText(store, store.contigs())
    letters = text.read(0, len(text))
    rules = MemoryRules(orders=tuple(ORDERS), pointer_orders=tuple(SEEDS))

    def remember() -> None:
        new_memory(rules, default_odds(), expected=len(letters)).remember(letters)

    def read() -> None:
        memory = new_memory(rules, default_odds(), expected=len(letters))
        for start in range(0, len(letters), 1 << 18):  # features of a genome are never held
            memory.read(letters[start : start + (1 << 18)])

    return {
        "letters": len(letters),
        "remember_us": 1e6 * min(seconds_of(remember) for _ in range(3)) / len(letters),
        "features_us": 1e6 * min(seconds_of(read) for _ in range(3)) / len(letters),
    }


def passes(preset: str, length: int, rounds: int, *, training: bool) -> dict[str, object]:
    """Return the ratio of the time of passes with a memory to those without."""
    plain = HyenaDNAConfig.from_preset(preset, length)
    memory = HyenaDNAConfig.from_preset(preset, length, memory_orders=ORDERS, pointer_orders=SEEDS)
    models = {"plain": HyenaDNAForCausalLM(plain), "memory": HyenaDNAForCausalLM(memory)}
    tokens = torch.randint(7, 11, (max(1, (1 << 14) // length), length))

    def run(model: HyenaDNAForCausalLM) -> None:
        model.train(training)
        with torch.set_grad_enabled(training):
            if training:
                model.next_token_loss(tokens).backward()
            else:
                model.hidden_states(tokens)

    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds + 1):
        for name, model in models.items():
            seconds[name].append(seconds_of(lambda model=model: run(model)))
    plain_s, memory_s = (statistics.median(seconds[name][1:]) for name in models)
    return {
        "preset": preset, "length": length, "training": training, "seconds": round(plain_s, 3),
        "with_memory": round(memory_s, 3), "ratio": round(memory_s / plain_s, 3),
    }  # fmt: skip


def generation(preset: str, batch: int, rounds: int) -> dict[str, object]:
    """Return the ratio of the time of a generated token with a memory to that without."""
    length, n_steps = 1024, 256
    memory = {"memory_orders": ORDERS, "pointer_orders": SEEDS}
    models = {
        name: HyenaDNAForCausalLM(HyenaDNAConfig.from_preset(preset, 4096, **keys)).eval()
        for name, keys in (("plain", {}), ("memory", memory))
    }
    prompt = torch.randint(7, 11, (batch, length))
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds + 1):
        for name, model in models.items():
            cache = Cache(model.backbone, n_steps)
            cache.absorb(prompt)

            def generate(cache: Cache = cache) -> None:
                for step in range(n_steps):
                    cache.step(prompt[:, step])

            seconds[name].append(seconds_of(generate))
    plain_s, memory_s = (statistics.median(seconds[name][1:]) / n_steps for name in models)
    return {
        "preset": preset, "batch": batch, "us_per_step": round(1e6 * plain_s),
        "with_memory": round(1e6 * memory_s), "ratio": round(memory_s / plain_s, 3),
    }  # fmt: skip


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genome", default="asset:ecoli")
    parser.add_argument("--presets", nargs="+", default=["tiny"])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 32768])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = [
        passes(preset, length, arguments.rounds, training=training)
        for preset in arguments.presets
        for length in arguments.lengths
        for training in (False, True)
        if not (training and length > 1 << 16)
    ]
    steps = [
        generation(preset, batch, arguments.rounds)
        for preset in arguments.presets
        for batch in (1, 8)
    ]
    about = {
        "generation": steps,
        "reading": reading(arguments.genome),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps({"rows": rows, **about, **stamp()}, indent=2))


if __name__ == "__main__":
    main()
