"""Draw time and memory against length, for all systems in files of speed.py, in one figure.

python benchmarks/plot.py FIGURE.png FORWARD.json ...
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure


def main() -> None:
    """Draw a panel of times and one of memory, both on logarithmic axes."""
    figure_path, *files = map(Path, sys.argv[1:])
    curves: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    about = {}
    for file in files:
        about = json.loads(file.read_text(encoding="utf-8"))
        for row in about["results"]:
            curves[row["system"]].append((row["length"], row["seconds"], row["peak_gib"]))
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for system, points in curves.items():
        lengths, seconds, gib = zip(*sorted(points), strict=True)
        time.loglog(lengths, seconds, marker="o", label=system)
        memory.loglog(lengths, gib, marker="o", label=system)
    time.set(title=f"{about['mode']}, {about['shape']}", xlabel="tokens", ylabel="seconds")
    memory.set(title="peak of the process", xlabel="tokens", ylabel="GiB")
    time.legend()
    figure.savefig(figure_path, dpi=110)


if __name__ == "__main__":
    main()
