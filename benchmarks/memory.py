"""Peak memory of one forward pass on the CPU, beside what `megabase info` plans.

python benchmarks/memory.py

Each case runs in a process of its own: its peak resident size, less the size before.
"""

import subprocess
import sys

CASES = [("tiny", 8192), ("tiny", 32_768), ("tiny", 131_072), ("large", 8192), ("large", 32_768)]

ONE_CASE = """
import resource, sys, torch
from megabase.model.config import HyenaDNAConfig
from megabase.model.cost import inference_bytes
from megabase.model.modeling import HyenaDNAForCausalLM
preset, length = sys.argv[1], int(sys.argv[2])
config = HyenaDNAConfig.from_preset(preset, length)
model = HyenaDNAForCausalLM(config).eval()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
with torch.inference_mode():
    model(torch.full((1, 64), 7))
    before = peak()
    model(torch.full((1, length), 7))
planned = inference_bytes(config, length) / 2**30
print(f"{preset:<8}{length:>10,}{peak() - before:>14.2f}{planned:>14.2f}")
"""

if __name__ == "__main__":
    from megabase.run.provenance import machine, versions

    print(f"{machine()}; {versions()}")
    print(f"{'preset':<8}{'tokens':>10}{'measured GiB':>14}{'planned GiB':>14}")
    for preset, length in CASES:
        subprocess.run([sys.executable, "-c", ONE_CASE, preset, str(length)], check=True)
