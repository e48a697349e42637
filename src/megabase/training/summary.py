"""Summarise a run in the last lines of its log: results next to baselines, and where they are."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from megabase.data.mixture import Window
from megabase.data.token_store import TokenStore
from megabase.genome.interval import Interval
from megabase.genome.vocabulary import DNA_VOCABULARY
from megabase.measure.kmers import constant_predictions
from megabase.measure.markov import fit_markov
from megabase.measure.metrics import Kind, metrics_of
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


def tell_pretrained(metrics: Path, sources: Sources) -> None:
    """Log the held-out bits per base of each genome next to those of a Markov model.

    Both are measured on the same validation windows. The Markov model is fitted to the training
    split of the genome, or to 16,777,216 bases of it.

    Parameters
    ----------
    metrics
        The file of the run's metrics, in the output folder.
    sources
        The genomes.
    """
    lines = map(json.loads, metrics.read_text(encoding="utf-8").splitlines())
    measured = [line for line in lines if "validation_loss" in line]
    windows = sources.validation_windows()
    if not measured or not windows:
        _log.info("summary: no held-out window was measured; model: %s", metrics.parent)
        _log.info("figures: %s", metrics)
        return
    last = measured[-1]
    for name, of_genome in windows.items():
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
    store: TokenStore, training: Sequence[Interval], windows: Sequence[Window]
) -> tuple[int, int, float]:
    """Return order, number of bases fitted, and bits per base, without each window's first base."""
    learned = [DNA_VOCABULARY.to_bases(store.fetch(each)) for each in _some(training)]
    markov = fit_markov(learned)
    found = [
        markov.log_probabilities(DNA_VOCABULARY.to_bases(store.fetch(window.interval)))[1:]
        for window in windows
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


def tell_adapted(
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
