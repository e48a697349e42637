"""Figures: training curves, surprisal along a locus, bars, embedding maps, context reports."""

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from megabase.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)

_MARKERS = "os^Dv"  # one marker for every ten classes, which take the colours C0 to C9


def figure_class() -> "type[Figure]":
    """Return matplotlib's `Figure`; call it before long work that ends in a figure.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 an optional extra
    except ImportError as error:
        raise InputError("figures need matplotlib: pip install 'megabase[plot]'") from error
    return Figure


def new_figure(
    n_rows: int, *, n_columns: int = 1, width: float = 9.0, row_height: float = 2.8
) -> "Figure":
    """Return a figure with a grid of empty axes.

    Parameters
    ----------
    n_rows, n_columns
        Size of the grid.
    width
        Width of the figure in inches.
    row_height
        Height of each row in inches.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    figure = figure_class()(figsize=(width, n_rows * row_height), layout="constrained")
    figure.subplots(n_rows, n_columns)
    return figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as a file; log one line if its font lacks characters of a name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message="Glyph .* missing")
        figure.savefig(path, dpi=110)
    if caught:
        _log.warning("figure: %s", "; ".join(sorted({str(each.message) for each in caught})))


def plot_training(
    axes: "Axes", metrics: Sequence[Mapping[str, int | float]], baselines: Mapping[str, float]
) -> None:
    """Plot the loss in bits per base against tokens seen, with baselines as horizontal lines.

    Parameters
    ----------
    axes
        The axes to draw on.
    metrics
        Lines of a run's metrics: `tokens`, with `loss` or `validation_loss` in nats.
    baselines
        Bits per base of each baseline, by its name; at least one.
    """
    for key, label, color, marker in (
        ("loss", "training windows", "0.7", ""),
        ("validation_loss", "validation windows", "C0", "o"),
    ):
        lines = [line for line in metrics if key in line]
        tokens = [line["tokens"] / 1e6 for line in lines]
        bits = [line[key] / math.log(2) for line in lines]
        axes.plot(tokens, bits, label=label, color=color, marker=marker)
    for number, (name, bits) in enumerate(baselines.items(), start=1):
        axes.axhline(bits, color=f"C{number}", linestyle="--", label=name)
    axes.set(
        xlabel="tokens seen (millions)",
        ylabel="bits per base",
        ylim=(min(baselines.values()) - 0.03, 2.06),
        title="What the model learns in training",
    )
    axes.legend(fontsize="small", ncols=2)


def plot_surprisal(
    axes: "Axes",
    bits: Float[np.ndarray, " length"],
    *,
    start: int,
    gene: tuple[str, int, int],
    n_codons: int = 60,
) -> None:
    """Plot the surprisal along a locus, one curve for each of the three codon positions.

    Parameters
    ----------
    axes
        The axes to draw on.
    bits
        Surprisal -log2 p of each base, in bits.
    start
        0-based position of the first base.
    gene
        Name, start and end of a gene on the forward strand, 0-based and half-open.
    n_codons
        Number of codons in the running mean.
    """
    name, gene_start, gene_end = gene
    axes.axvspan(gene_start / 1e3, gene_end / 1e3, color="0.9", label=name)
    for phase in range(3):
        # Index of the first base, within `bits`, that is at this codon position.
        first = (gene_start + phase - start) % 3
        mean = np.convolve(bits[first::3], np.full(n_codons, 1 / n_codons), mode="valid")
        middle = start + first + 3 * (n_codons // 2 + np.arange(len(mean)))
        axes.plot(middle / 1e3, mean, linewidth=1, label=f"codon position {phase + 1}")
    axes.axhline(2.0, color="0.6", linestyle=":", label="no knowledge")
    axes.set(
        xlabel="position (kb)",
        ylabel="surprisal (bits)",
        title=f"Surprisal along {name}, by its reading frame (mean of {n_codons} codons)",
    )
    axes.margins(y=0.2)
    axes.legend(fontsize="small", ncols=5, loc="lower center")


def plot_bars(axes: "Axes", values: Mapping[str, float], **labels: Any) -> None:
    """Plot one bar for each name.

    Parameters
    ----------
    axes
        The axes to draw on.
    values
        Height of each bar, by its name.
    labels
        Properties of the axes, such as `ylabel`, passed to `Axes.set`.
    """
    bars = axes.bar(list(values), list(values.values()), color="C0", width=0.6)
    axes.bar_label(bars, fmt="%.3f", fontsize="small")
    low, high = min(values.values()), max(values.values())
    axes.set(ylim=(low - (high - low), high + 0.4 * (high - low)), **labels)


def plot_map(
    axes: "Axes",
    points: Float[np.ndarray, "row 2"],
    labels: Int[np.ndarray, " row"],
    is_test: Bool[np.ndarray, " row"],
    names: Sequence[str],
    *,
    title: str,
) -> None:
    """Plot points in the plane, coloured by class; test rows have a dark edge.

    Parameters
    ----------
    axes
        The axes to draw on.
    points
        Coordinates of each row.
    labels
        Class of each row, counted from 0.
    is_test
        Whether each row is a test row.
    names
        Name of each class.
    title
        Title of the axes.
    """
    for number, name in enumerate(names):
        for test, edge in ((False, "none"), (True, "0.1")):
            rows = (labels == number) & (is_test == test)
            axes.scatter(
                *points[rows].T, s=14, color=f"C{number % 10}", edgecolors=edge, linewidths=0.6,
                marker=_MARKERS[number // 10 % len(_MARKERS)], label=None if test else name,
            )  # fmt: skip
    axes.set(title=f"{title}\n(test rows with an edge)", xticks=[], yticks=[])
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))


_EXPERIMENTS = (
    ("gain", "Gain over 64 bases of context, same bases", "bases of context"),
    ("shuffled", "Gain over permuted far context", "permuted beyond, bases"),
    ("recall", "Recall of a segment seen before", "gap, bases"),
)


def plot_context(report: Mapping[str, Any], path: Path) -> None:
    """Draw the experiments of a context report to a PNG file.

    Parameters
    ----------
    report
        A report of `evaluation.context.report_context`.
    path
        The PNG file to write.
    """
    found = [each for each in _EXPERIMENTS if report[each[0]]]
    by_position = report["by_position"]
    figure = new_figure(bool(by_position) + len(found))
    others = figure.axes
    if by_position:
        position, *others = others
        ends = [each["end"] for each in by_position]
        _plot_bits(position, ends, [each["bits"] for each in by_position])
        position.set(
            title="By position in the window", xlabel="up to position", ylabel="bits per base"
        )
    for axes, (key, title, label) in zip(others, found, strict=True):
        distances = [each["distance"] for each in report[key]]
        _plot_bits(axes, distances, [each["difference"] for each in report[key]])
        if key == "recall":
            for number, (name, copies) in enumerate(report["recall_changed"].items(), start=1):
                points = [each["difference"] for each in copies]
                _plot_bits(axes, distances, points, colour=f"C{number}", label=name)
            if report["recall_changed"]:
                axes.plot([], [], color="C0", label="exact")
                axes.legend()
        axes.axhline(0.0, color="0.6", linestyle=":")
        axes.set(title=title, xlabel=label, ylabel="bits per base")
    save_figure(figure, path)


_MOST_LEVEL = 10  # labels of an axis that do not overlap


def _plot_bits(
    axes: "Axes", x: Sequence[int], bits: Sequence[Mapping[str, Any]], *, colour: str = "C0",
    label: str | None = None,
) -> None:  # fmt: skip
    """Plot bits per base, and their intervals if all points have one."""
    means = [each["bits_per_base"] for each in bits]
    axes.plot(x, means, marker="o", color=colour, label=label)
    if all(each["interval"] for each in bits):
        low, high = zip(*(each["interval"] for each in bits), strict=True)
        axes.fill_between(x, low, high, alpha=0.2, color=colour, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, [f"{value:,}" for value in x], rotation=20 if len(x) > _MOST_LEVEL else 0)
