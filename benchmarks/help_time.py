"""How long `megabase --help` takes, as a whole process.

python benchmarks/help_time.py
"""

import statistics
import subprocess
import sys
import time

from megabase.run.provenance import machine, versions

seconds = []
for _ in range(11):
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "megabase", "--help"], check=True, capture_output=True)
    seconds.append(time.perf_counter() - started)
print(f"{machine()}; {versions()}")
low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
print(f"megabase --help: median {middle:.3f} s (from {low:.3f} to {high:.3f}, 11 runs)")
