"""Report on the predictions for the held-out rows: intervals, calibration and a figure."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from megabase.errors import InputError
from megabase.measure.calibration import brier_score, reliability
from megabase.measure.confidence import ConfidenceInterval, spread
from megabase.measure.metrics import Kind, Labels, Predictions, intervals_of, metrics_of
from megabase.report.plot import figure_class
from megabase.report.predictions import draw_classifier, draw_labels, draw_values
from megabase.training.labelled import LabelledData

_log = logging.getLogger(__name__)

_MOST_CELLS = 1_000_000  # rows x labels; ranking so many in each replicate takes two minutes


def calibration(kind: Kind, labels: Labels, answers: Predictions) -> dict[str, float] | None:
    """Return the Brier score and the expected calibration error; None for a regression.

    Parameters
    ----------
    kind
        Kind of the labels.
    labels
        Class number of each row, or 0 and 1 (row, label).
    answers
        Probabilities (row, class) or (row, label).
    """
    if kind == "regression":
        return None
    return {
        "brier_score": brier_score(kind, labels, answers),
        "expected_calibration_error": reliability(kind, labels, answers).calibration_error,
    }


def draw(
    kind: Kind,
    labels: Labels,
    answers: Predictions,
    names: Sequence[str],
    path: Path,
    *,
    title: str,
) -> None:
    """Draw a figure of the predictions that suits their kind.

    Without matplotlib the figure is left out, which is logged.

    Parameters
    ----------
    kind
        Kind of the labels.
    labels
        Class number or value of each row, or 0 and 1 (row, label).
    answers
        Probabilities (row, class) or (row, label), or values.
    names
        Names of the classes, labels or targets.
    path
        The PNG file to write.
    title
        Title of the figure.
    """
    try:
        figure_class()
    except InputError as error:
        _log.info("%s is left out: %s", path.name, error)
        return
    if kind == "regression":
        draw_values(labels, answers, names, path, title=title)
    elif kind == "multilabel":
        draw_labels(labels, answers, names, path, title=title)
    else:
        draw_classifier(labels.astype(np.int64), answers, names, path, title=title)


def intervals(
    data: LabelledData, labels: Labels, answers: Predictions, *, seed: int
) -> Mapping[str, ConfidenceInterval | None]:
    """Return a bootstrap confidence interval of each metric on the test split.

    An interval is None if it is undefined, and all are None if a multilabel test is too large.

    Parameters
    ----------
    data
        The data of the run.
    labels, answers
        Labels and predictions of the test split, by row or by labelled base.
    seed
        Seed of the bootstrap.
    """
    groups = data.label_groups
    if data.kind == "multilabel" and labels.size > _MOST_CELLS:
        _log.info(
            "no bootstrap intervals: rows times labels are %s; above %s they would take too long",
            f"{labels.size:,}", f"{_MOST_CELLS:,}",
        )  # fmt: skip
        return dict.fromkeys(metrics_of(data.kind, labels, answers, groups=groups))
    return intervals_of(
        data.kind, labels, answers, seed=seed, units=data.held_out.units(), groups=groups
    )


def over_seeds(measured: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Return mean and sample standard deviation of each metric; the latter is None for one seed.

    Examples
    --------
    >>> over_seeds([{"mcc": 0.5}, {"mcc": 0.7}])["mcc"]["mean"]
    0.6
    """
    spreads = {name: spread([each[name] for each in measured]) for name in measured[0]}
    return {name: {"mean": found.mean, "sd": found.sd} for name, found in spreads.items()}
