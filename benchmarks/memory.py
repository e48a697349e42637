"""Compare peak memory on the CPU with the plan, for inference and training.

python benchmarks/memory.py [--long]

Each case runs in its own process, whose peak resident size is measured: one forward pass, or two
optimiser steps on one window. --long adds a window of 131,072 tokens.
"""

import subprocess
import sys

MODES = ("inference", "training", "checkpointing")
CASES = [
    (preset, length, mode)
    for preset in ("tiny", "small", "large")
    for length in (8192, 32_768)
    for mode in MODES
]
LONG = [("tiny", 131_072, mode) for mode in MODES]

ONE_CASE = """
import resource, sys, torch
from transformers import Trainer
from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import inference_bytes, training_bytes
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.footprint import LIBRARIES_BYTES
preset, length, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
config = HyenaDNAConfig.from_preset(preset, length)
tokens = torch.full((1, length), 7)
model = HyenaDNAForCausalLM(config)
if mode == "inference":
    with torch.inference_mode():
        model.eval()(tokens)
    planned = inference_bytes(config, length)
else:
    model.backbone.gradient_checkpointing = mode == "checkpointing"
    optimizer = torch.optim.AdamW(model.train().parameters())
    for _ in range(2):
        model(tokens, labels=tokens, skip_logits=True).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    planned = training_bytes(config, length, checkpointing=mode == "checkpointing")
gib = 2**30
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
planned += LIBRARIES_BYTES
figures = f"{peak / gib:>9.2f}{planned / gib:>9.2f}{planned / peak:>8.2f}"
print(f"{preset:<8}{length:>8,}  {mode:<14}{figures}")
"""

if __name__ == "__main__":
    from megabase.runtime.environment import machine, versions

    print(f"{machine()}; {versions()}")
    print(f"{'preset':<8}{'tokens':>8}  {'mode':<14}{'measured':>9}{'planned':>9}{'ratio':>8}")
    for case in [*CASES, *(LONG if "--long" in sys.argv else [])]:
        subprocess.run([sys.executable, "-c", ONE_CASE, *map(str, case)], check=True)
