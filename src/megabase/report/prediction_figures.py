"""Figures of predictions: ROC and precision-recall curves, confusion, reliability, values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from megabase.errors import InputError
from megabase.metrics.calibration import reliability
from megabase.metrics.task_metrics import (
    Kind,
    Labels,
    Predictions,
    Ranking,
    areas_by_label,
    confusion,
    metrics_of,
)
from megabase.report.figures import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NUMBERED = 12  # confusion matrices of more classes are drawn without their counts
_MOST_CURVES = 8  # of more labels, only so many get a curve


def draw_classifier(
    labels: Int[np.ndarray, " row"],
    probabilities: Float[np.ndarray, "row class"],
    names: Sequence[str],
    path: Path,
    *,
    title: str,
) -> None:
    """Draw ROC, precision-recall, confusion matrix and reliability to a PNG file.

    With two classes the curves are those of the second class; with more, each class has a
    curve against the rest. A class of all rows, or of no row, has no curve.

    Parameters
    ----------
    labels
        True class of each row, counted from 0.
    probabilities
        Predicted probability of each class.
    names
        Name of each class.
    path
        The PNG file to write.
    title
        Title of the figure.

    Raises
    ------
    InputError
        If matplotlib is not installed, or if the number of names is not that of the classes.
    """
    n_classes = probabilities.shape[1]
    if len(names) != n_classes:
        raise InputError(f"expected {n_classes} class names, got {len(names)}")
    figure = new_figure(2, n_columns=2, row_height=4.2)
    roc, precision, table, bins = figure.axes
    drawn = [1] if n_classes == 2 else range(n_classes)
    truths = np.arange(n_classes) == labels[:, None]
    _draw_curves(roc, precision, truths, probabilities, {each: names[each] for each in drawn})
    _draw_confusion(table, confusion(labels, probabilities.argmax(axis=1), n_classes), names)
    draw_reliability(bins, "binary" if n_classes == 2 else "multiclass", labels, probabilities)
    figure.suptitle(title)
    save_figure(figure, path)


def draw_labels(
    truths: Shaped[np.ndarray, "row label"],
    probabilities: Float[np.ndarray, "row label"],
    names: Sequence[str],
    path: Path,
    *,
    title: str,
) -> None:
    """Draw ROC, precision-recall, the areas of all labels and reliability to a PNG file.

    With more than eight labels, curves are drawn for eight of them, spread evenly from the
    best area under the ROC to the worst. A label of all rows, or of no row, is left out.

    Parameters
    ----------
    truths
        Whether each row has each label.
    probabilities
        Predicted probability of each label.
    names
        Name of each label.
    path
        The PNG file to write.
    title
        Title of the figure.

    Raises
    ------
    InputError
        If matplotlib is not installed, or if the number of names is not that of the labels.
    """
    if len(names) != truths.shape[1]:
        raise InputError(f"expected {truths.shape[1]} label names, got {len(names)}")
    areas = areas_by_label(truths, probabilities)
    n_known = int(np.isfinite(areas[0]).sum())
    order = np.argsort(-areas[0])[:n_known]  # argsort puts NaN last
    places = np.linspace(0, n_known - 1, min(n_known, _MOST_CURVES)).round().astype(int)
    figure = new_figure(2, n_columns=2, row_height=4.2)
    roc, precision, sorted_areas, bins = figure.axes
    named = {int(each): names[int(each)] for each in order[places]}
    _draw_curves(roc, precision, truths.astype(bool), probabilities, named)
    for row, name in zip(areas, ("area under the ROC", "mean precision"), strict=True):
        sorted_areas.plot(range(1, n_known + 1), row[order], marker=".", linestyle="", label=name)
    sorted_areas.set(
        xlabel="label, by its area under the ROC", ylim=(0, 1.05),
        title=f"{n_known:,} labels; {len(names) - n_known:,} do not vary",
    )  # fmt: skip
    sorted_areas.legend(fontsize="small")
    draw_reliability(bins, "multilabel", truths, probabilities)
    figure.suptitle(title)
    save_figure(figure, path)


def _draw_curves(
    roc: "Axes",
    precision: "Axes",
    truths: Bool[np.ndarray, "row label"],
    probabilities: Float[np.ndarray, "row label"],
    named: Mapping[int, str],
) -> None:
    """Draw both curves of the named columns, without those whose truths are all equal."""
    for each, name in named.items():
        ranking = Ranking(truths[:, each], probabilities[:, each])
        auroc, auprc = ranking.areas()
        if np.isfinite(auroc):
            roc.plot(*ranking.roc(), label=f"{name}: {auroc:.3f}")
            precision.plot(*ranking.precision_recall(), label=f"{name}: {auprc:.3f}")
    roc.plot([0, 1], [0, 1], color="0.6", linestyle=":")
    roc.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC, and area")
    precision.set(
        xlabel="recall", ylabel="precision", ylim=(0, 1.05), title="Precision, and its mean"
    )
    for axes in (roc, precision):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")


def _draw_confusion(
    axes: "Axes", counts: Float[np.ndarray, "class class"], names: Sequence[str]
) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, fontsize="small")
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set(xlabel="predicted", ylabel="true", title="Rows, shaded by share of the true class")
    if len(names) <= _MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, f"{int(count):,}", ha="center", va="center", color=color,
                fontsize="small",
            )  # fmt: skip


def draw_reliability(axes: "Axes", kind: Kind, labels: Labels, probabilities: Predictions) -> None:
    """Draw a reliability diagram: the observed share against the predicted probability.

    Parameters
    ----------
    axes
        The axes to draw on.
    kind
        The kind of the task: binary, multiclass or multilabel.
    labels
        True labels.
    probabilities
        Predicted probabilities.
    """
    found = reliability(kind, labels, probabilities)
    known = found.counts > 0
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":")
    axes.plot(found.means[known], found.shares[known], marker="o", color="C0")
    widths = np.diff(found.edges)
    heights = 0.3 * found.counts / found.counts.max()
    axes.bar(found.edges[:-1], heights, widths, align="edge", color="0.85", zorder=0)
    axes.set(
        xlabel=f"{_STATED[kind]} (bars: number of predictions)",
        ylabel="observed share",
        title=f"Reliability: calibration error {found.calibration_error:.3f}",
    )  # fmt: skip


_STATED: Mapping[str, str] = {
    "binary": "probability", "multiclass": "probability of the predicted class",
    "multilabel": "probability of a label",
}  # fmt: skip


def draw_values(
    labels: Labels, predictions: Predictions, names: Sequence[str], path: Path, *, title: str
) -> None:
    """Draw predicted against measured values to a PNG file, one plot for each target.

    Parameters
    ----------
    labels, predictions
        Measured and predicted values, (row,) or (row, target).
    names
        Name of each target, with its unit.
    path
        The PNG file to write.
    title
        Title of the figure.

    Raises
    ------
    InputError
        If matplotlib is not installed, or if the number of names is not that of the targets.
    """
    columns = [values.reshape(len(labels), -1).T for values in (labels, predictions)]
    if len(names) != len(columns[0]):
        raise InputError(f"expected {len(columns[0])} target names, got {len(names)}")
    figure = new_figure(len(names), width=5.5, row_height=5.0)
    for axes, name, measured, predicted in zip(figure.axes, names, *columns, strict=True):
        found = metrics_of("regression", measured, predicted)
        ends = [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
        axes.plot(ends, ends, color="0.6", linestyle=":")
        axes.plot(measured, predicted, ".", markersize=3, alpha=0.4, color="C0")
        axes.set(
            xlabel=f"{name}, measured",
            ylabel="predicted",
            title=f"Pearson {found['pearson']:.3f}, Spearman {found['spearman']:.3f}",
        )
    figure.suptitle(title)
    save_figure(figure, path)
