"""Compare tokens per second of pretraining, with data, logging and saving, with bare steps.

python benchmarks/pretraining.py [KEY=VALUE ...]

Trains on the shipped E. coli genome in a temporary folder. The keys are those of the configuration
of `megabase pretrain`. The bare step has the same model and batch size, with the same random
tokens each time.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from megabase.model.config import HyenaDNAConfig
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.runtime.artifacts import read_record
from megabase.runtime.environment import machine, versions
from megabase.training.pretrain import pretrain
from megabase.training.run_config import PretrainConfig

KEYS = {
    "genome": "asset:ecoli", "preset": "small", "context_length": 8192, "tokens_per_step": 16_384,
    "steps": 12, "log_every": 1, "validation_windows": 2,
}  # fmt: skip


def bare_rate(config: PretrainConfig, windows_per_pass: int) -> float:
    """Return tokens per second of optimiser steps on tokens already in memory."""
    shape = HyenaDNAConfig.from_preset(config.preset, config.context_length)
    model = HyenaDNAForCausalLM(shape).train()
    optimizer = torch.optim.AdamW(model.parameters())
    n_windows = config.tokens_per_step // config.context_length
    tokens = torch.randint(7, 11, (windows_per_pass, config.context_length))
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        for _ in range(n_windows // windows_per_pass):
            model(tokens, labels=tokens, skip_logits=True).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
    return config.tokens_per_step / statistics.median(seconds[1:])


def main() -> None:
    """Train, then time bare steps, and print both rates."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    config = PretrainConfig.model_validate({**KEYS, **given})
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model"
        pretrain(config, output)
        lines = [
            json.loads(line)
            for line in (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        record = read_record(output)
    rates = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
    windows = next(iter(record["results"]["plan"]["windows_per_pass"].values()))
    bare = bare_rate(config, windows)
    print(f"{machine()}; {versions()}")
    print(f"{config.preset}, {config.context_length:,} tokens, {windows} windows per pass")
    print(f"pretraining {statistics.median(rates[2:]):,.0f} tokens/s; bare steps {bare:,.0f}")


if __name__ == "__main__":
    main()
