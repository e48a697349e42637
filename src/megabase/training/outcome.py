"""What a run came to: held-out answers, figures, and the summary that ends its log."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from megabase.data.token_store import StoredWindow, TokenStore
from megabase.errors import InputError
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.metrics.bootstrap import ConfidenceInterval, spread
from megabase.metrics.calibration import brier_score, reliability
from megabase.metrics.kmers import constant_predictions
from megabase.metrics.markov import fit_markov
from megabase.metrics.task_metrics import Kind, Labels, Predictions, intervals_of, metrics_of
from megabase.report.figures import figure_class
from megabase.report.prediction_figures import draw_classifier, draw_labels, draw_values
from megabase.training.labelled import LabelledData
from megabase.training.sources import Sources

_log = logging.getLogger(__name__)

_MOST_COUNTED = 1 << 24
"""Largest number of bases of a genome to which the Markov model of the summary is fitted."""

_SHOWN: Mapping[Kind, tuple[str, ...]] = {
    "binary": ("accuracy", "mcc", "auroc"),
    "multiclass": ("accuracy", "mcc", "auroc"),
    "multilabel": ("auroc_median", "auprc_median"),
    "regression": ("spearman", "r2"),
}


def tell_pretrained(
    metrics: Path, sources: Sources, validation: Mapping[str, Sequence[StoredWindow]]
) -> None:
    """Log the held-out bits per base of each genome next to those of a Markov model.

    Both are measured on the same validation windows. The Markov model is fitted to the training
    split of the genome, or to 16,777,216 bases of it.

    Parameters
    ----------
    metrics
        The file of the run's metrics, in the output folder.
    sources
        The genomes.
    validation
        The validation windows of each genome that has any.
    """
    lines = map(json.loads, metrics.read_text(encoding="utf-8").splitlines())
    measured = [line for line in lines if "validation_loss" in line]
    if not measured:
        _log.info("summary: no held-out window was measured; model: %s", metrics.parent)
        _log.info("figures: %s", metrics)
        return
    last = measured[-1]
    for name, of_genome in validation.items():
        nats = last.get(f"validation_loss_{name}", last["validation_loss"])
        source = sources.by_name[name]
        order, n_counted, bits = _markov_bits(source.store, source.split.train, of_genome)
        _log.info(
            "summary: %s, held out: %.4f bits per base (%.4f nats); a Markov model of order %d, "
            "fitted to %s bases: %.4f; measured on %d validation windows that are not in training",
            name, nats / math.log(2), nats, order, f"{n_counted:,}", bits, len(of_genome),
        )  # fmt: skip
    _log.info("model: %s; figures: %s", metrics.parent, metrics)


def _markov_bits(
    store: TokenStore, training: Sequence[Interval], windows: Sequence[StoredWindow]
) -> tuple[int, int, float]:
    """Return order, number of bases fitted, and bits per base, without each window's first base."""
    learned = [store.letters(each) for each in _some(training)]
    markov = fit_markov(learned)
    found = [
        markov.log_probabilities(DNA_VOCABULARY.to_bases(window.tokens()))[1:] for window in windows
    ]
    return (
        markov.order,
        sum(map(len, learned)),
        -float(np.nanmean(np.concatenate(found))) / (math.log(2)),
    )


def _some(regions: Sequence[Interval]) -> list[Interval]:
    """Shorten all regions in proportion, to at most `_MOST_COUNTED` bases in total."""
    share = min(1.0, _MOST_COUNTED / max(1, sum(map(len, regions))))
    parts = [(each, int(len(each) * share)) for each in regions]
    return [Interval(each.contig, each.start, each.start + n) for each, n in parts if n]


def majority_metrics(data: LabelledData) -> dict[str, float]:
    """Return the held-out metrics of a constant prediction: training frequencies, or the mean."""
    held_out = data.held_out.targets()
    constant = constant_predictions(
        data.kind, data.training.targets(), len(held_out), n_classes=len(data.labels.classes)
    )
    return metrics_of(data.kind, held_out, constant, groups=data.label_groups)


def log_adapted(
    report: Mapping[str, Any], data: LabelledData, output: Path, names: Sequence[str]
) -> None:
    """Log the metrics on the held-out rows next to the majority baseline, and the output files.

    Parameters
    ----------
    report
        The report of all seeds, with ``majority``.
    data
        The data of the run.
    output
        The output folder.
    names
        Names of result files in it; files that do not exist are left out.
    """
    of_seeds, floor = report[data.held_out_name], report["majority"]
    constant = "training mean" if data.kind == "regression" else "majority"
    shown = [
        f"{name} {_over_seeds(of_seeds[name])} ({constant} {floor[name]:.4f})"
        for name in _SHOWN[data.kind]
    ]
    n = len(report["seeds"])
    chosen = " (optimistic: it selected the epoch)" if data.test is None else ""
    _log.info(
        "summary: %s%s, %s rows, %s: %s", data.held_out_name, chosen,
        f"{len(data.held_out):,}", "1 seed" if n == 1 else f"{n} seeds", "; ".join(shown),
    )  # fmt: skip
    found = [str(output / name) for name in names if (output / name).is_file()]
    _log.info("model: %s; figures: %s", output, ", ".join(found))


def _over_seeds(found: Mapping[str, float | None]) -> str:
    mean, sd = found["mean"], found["sd"]
    text = "NaN" if mean is None else f"{mean:.4f}"
    return text if sd is None else f"{text} ± {sd:.4f}"


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
