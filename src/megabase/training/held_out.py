"""What is said and drawn of the answers for the rows held out: calibration, and a figure."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from megabase.errors import InputError
from megabase.measure.calibration import brier_score, reliability
from megabase.measure.metrics import Kind, Labels, Predictions
from megabase.report.plot import figure_class
from megabase.report.predictions import draw_classifier, draw_labels, draw_values

_log = logging.getLogger(__name__)


def calibration(kind: Kind, labels: Labels, answers: Predictions) -> dict[str, float] | None:
    """Give the Brier score and the expected calibration error; None of values.

    Parameters
    ----------
    kind, labels, answers
        As of `measure.calibration.brier_score` and `reliability`.
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
    """Draw the answers as their kind wants it; without matplotlib the log says what is left out.

    Parameters
    ----------
    kind, labels, answers
        As of `measure.metrics.metrics_of`.
    names
        Of the classes, labels or targets.
    path
        The PNG file.
    title
        What is drawn.
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
