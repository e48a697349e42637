"""Draw the surprisal of a gene: at its start codon, and by the position in a codon.

megabase tracks --model demo/model --genome asset:ecoli --output ecoli.bw
python scripts/gene_figure.py ecoli.bw docs/images/gene.png

The default gene is rpoB of E. coli, which `make demo` holds out.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pybigtools
import typer

from megabase.genome.interval import Interval
from megabase.metrics.bootstrap import bootstrap_ratio
from megabase.report.figures import new_figure

AROUND = 48
COLOURS = ("#1b6ca8", "#7fb2d9", "#d9822b")


def main(
    track: Path,
    output: Path,
    gene: Annotated[
        str, typer.Option(help="contig:first-last, 1-based, from start to stop codon, forward.")
    ] = "K-12-MG1655:4179268-4183296",
) -> None:
    """Draw a track around the start of a gene, and its mean by codon position."""
    place = Interval.from_region(gene)
    start = place.start - AROUND
    with pybigtools.open(str(track)) as file:
        bits = file.values(place.contig, start, place.end, fillna=None)
    inside = bits[AROUND:].astype(np.float64).reshape(-1, 3)
    ones = np.ones(len(inside))
    means = [bootstrap_ratio(column, ones, seed=0) for column in inside.T]
    for phase, (column, interval) in enumerate(zip(inside.T, means, strict=True), start=1):
        low, high = interval or (np.nan, np.nan)
        print(f"codon position {phase}: {column.mean():.3f} bits [{low:.3f}, {high:.3f}]")
    print(f"start codon: {bits[AROUND : AROUND + 3].round(3)}; gene: {inside.mean():.3f} bits")
    figure = new_figure(2)
    top, bottom = figure.axes
    offsets = np.arange(-AROUND, 2 * AROUND)
    phases = np.where(offsets < 0, -1, offsets % 3)
    colours = ["#999999" if phase < 0 else COLOURS[phase] for phase in phases]
    top.bar(offsets, bits[: 3 * AROUND], color=colours, width=0.9)
    top.axvline(-0.5, color="black", linewidth=0.8)
    top.set(xlabel="bases from the start codon", ylabel="surprisal, bits", title=gene)
    labels = [f"codon position {phase}" for phase in (1, 2, 3)]
    bottom.bar(labels, inside.mean(axis=0), color=COLOURS, width=0.6)
    lows, highs = np.array([interval or (np.nan, np.nan) for interval in means]).T
    centre = inside.mean(axis=0)
    bottom.errorbar(labels, centre, [centre - lows, highs - centre], fmt="none", ecolor="black")
    bottom.set(ylabel="bits per base", ylim=(1.6, 2.1))
    bottom.axhline(2.0, color="black", linewidth=0.8, linestyle=":")
    figure.savefig(output, dpi=120)


if __name__ == "__main__":
    typer.run(main)
