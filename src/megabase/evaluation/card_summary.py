"""Summarise the training runs of an evaluation card."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from megabase.evaluation.card_systems import PRETRAINED, SCRATCH, SYSTEMS
from megabase.measure.calibration import brier_score, reliability
from megabase.measure.confidence import Spread, spread
from megabase.measure.difference import difference
from megabase.measure.label_efficiency import Needed, needed_rows
from megabase.measure.metrics import Kind, Labels, Predictions

NO_BETTER, NOT_DEFINED = "no better than the majority", "not defined"
"""Reasons for which a card gives no number of rows needed."""

_Records = Sequence[Mapping[str, Any]]


def summarise_card(
    metric: str,
    kind: Kind,
    records: _Records,
    answers: Mapping[str, Sequence[Predictions]],
    labels: Labels,
    *,
    majority: float,
    seed: int,
) -> dict[str, Any]:
    """Summarise the training runs of a card.

    Parameters
    ----------
    metric
        The main metric of the task; greater is better.
    kind
        The kind of the task.
    records
        Records of `card_systems.Training.run`; a metric that is not defined is None.
    answers
        By system, the predictions of the test rows of each seed, after training on all rows.
    labels
        True labels of the test rows.
    majority
        The metric of the majority baseline; NaN if it is not defined.
    seed
        Seed of the bootstrap.

    Returns
    -------
    summary
        ``curve``: the spread of the metric of each system and number of rows. ``needed``: for
        each number of rows, how many rows the other systems need to reach the metric of
        pretrained, interpolated between means by `needed_rows`; None if pretrained is no
        better than the majority. ``difference``: pretrained minus from scratch on all rows,
        see `measure.difference.difference`. ``calibration``: the spread of ``brier`` and
        ``calibration_error`` of each system; None for regressions. ``cost``: the mean cost of
        a run over seeds, and the maximum memory. ``stability``: the spread of each metric of
        each system on all rows.
    """
    groups = _groups(records)
    n_all = max(n_rows for _, n_rows in groups)
    curve = [
        {
            "system": system,
            "n_rows": n_rows,
            "n_validation": group[0]["n_validation"],
            **_spread_of(group, metric)._asdict(),
        }
        for (system, n_rows), group in groups.items()
    ]
    return {
        "curve": curve,
        "majority": majority,
        "needed": _needed(curve, majority),
        "difference": difference(
            kind, metric, labels, answers[PRETRAINED], answers[SCRATCH], seed=seed
        )._asdict(),
        "calibration": None if kind == "regression" else _calibration(kind, answers, labels),
        "cost": [_cost(*key, group) for key, group in groups.items()],
        "stability": {
            system: {
                name: _spread_of(groups[system, n_all], name)._asdict()
                for name in groups[system, n_all][0]["metrics"]
            }
            for system in SYSTEMS
        },
    }


def _groups(records: _Records) -> dict[tuple[str, int], list[Mapping[str, Any]]]:
    """Return the records of each system and number of rows, system by system."""
    found: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for each in sorted(records, key=lambda one: (SYSTEMS.index(one["system"]), one["n_rows"])):
        found.setdefault((each["system"], each["n_rows"]), []).append(each)
    return found


def _spread_of(group: _Records, metric: str) -> Spread:
    values = [each["metrics"][metric] for each in group]
    return spread([math.nan if value is None else value for value in values])


def _needed(curve: Sequence[Mapping[str, Any]], majority: float) -> list[dict[str, Any]]:
    """Return, for each number of rows, how many rows the others need to match pretrained."""
    n_rows = {system: _column(curve, system, "n_rows") for system in SYSTEMS}
    means = {system: _column(curve, system, "mean") for system in SYSTEMS}
    found: list[dict[str, Any]] = []
    for n, reached in zip(n_rows[PRETRAINED], means[PRETRAINED], strict=True):
        for system in SYSTEMS[1:]:
            needed, bound = _bounded(needed_rows(n_rows[system], means[system], reached))
            if reached <= majority:
                needed, bound = None, NO_BETTER
            found.append(
                {
                    "n_rows": n,
                    "reached": reached,
                    "system": system,
                    "needed": needed,
                    "bound": bound,
                }
            )
    return found


def _bounded(needed: Needed | None) -> tuple[float | None, str]:
    return (None, NOT_DEFINED) if needed is None else (needed.n_rows, needed.bound)


def _column(curve: Sequence[Mapping[str, Any]], system: str, key: str) -> list[Any]:
    return [each[key] for each in curve if each["system"] == system]


def _calibration(
    kind: Kind, answers: Mapping[str, Sequence[Predictions]], labels: Labels
) -> dict[str, Any]:
    return {
        system: {
            "brier": spread([brier_score(kind, labels, each) for each in of_seeds])._asdict(),
            "calibration_error": spread(
                [reliability(kind, labels, each).calibration_error for each in of_seeds]
            )._asdict(),
        }
        for system, of_seeds in answers.items()
    }


def _cost(system: str, n_rows: int, group: _Records) -> dict[str, Any]:
    epochs = [float(each["n_epochs"]) for each in group if each["n_epochs"] is not None]
    return {
        "system": system,
        "n_rows": n_rows,
        "seconds": spread([each["seconds"] for each in group])._asdict(),
        "processor_seconds": spread([each["processor_seconds"] for each in group])._asdict(),
        "n_epochs": spread(epochs).mean if epochs else None,
        "peak_memory_bytes": max(each["peak_memory_bytes"] for each in group),
        "n_parameters": max(each["n_parameters"] for each in group),
        "n_moving": max(each["n_moving"] for each in group),
    }
