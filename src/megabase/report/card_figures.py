"""The figures of an evaluation card: label efficiency and reliability."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from megabase.measure.metrics import Labels, Predictions
from megabase.report.plot import new_figure, save_figure
from megabase.report.predictions import draw_reliability


def draw_label_efficiency(report: Mapping[str, Any], path: Path) -> None:
    """Draw the metric of each system against training rows, mean ± one standard deviation.

    Parameters
    ----------
    report
        A report of `evaluation.card.evaluate_card`.
    path
        The PNG file to write.
    """
    figure = new_figure(1, width=7.0, row_height=4.2)
    (axes,) = figure.axes
    for system in dict.fromkeys(each["system"] for each in report["curve"]):
        points = [each for each in report["curve"] if each["system"] == system]
        axes.errorbar(
            [each["n_rows"] for each in points],
            [each["mean"] for each in points],
            yerr=[each["sd"] or 0.0 for each in points],
            marker="o",
            capsize=3,
            label=system,
        )
    if not math.isnan(report["majority"]):
        axes.axhline(report["majority"], color="0.6", linestyle=":", label="majority")
    axes.set_xscale("log")
    axes.set_xticks(report["rows"], [f"{n:,}" for n in report["rows"]])
    axes.set_xticks([], minor=True)
    axes.set(
        xlabel="training rows",
        ylabel=f"{report['metric']} on {report['n_test']:,} test rows",
        title=report["task"],
    )
    axes.legend(fontsize="small")
    save_figure(figure, path)


def draw_reliabilities(
    labels: Labels, answers: Mapping[str, Sequence[Predictions]], path: Path
) -> None:
    """Draw the reliability diagram of each system, over the predictions of all its seeds.

    Parameters
    ----------
    labels
        Class of each test row, counted from 0.
    answers
        By system, the predicted probabilities (row, class) of each seed.
    path
        The PNG file to write.
    """
    figure = new_figure(1, n_columns=len(answers), width=4.2 * len(answers), row_height=4.2)
    for axes, (system, of_seeds) in zip(figure.axes, answers.items(), strict=True):
        whole = np.concatenate(of_seeds)
        kind = "binary" if whole.shape[1] == 2 else "multiclass"
        draw_reliability(axes, kind, np.tile(labels, len(of_seeds)), whole)
        axes.set_title(f"{system}: {axes.get_title()}", fontsize="small")
    save_figure(figure, path)
