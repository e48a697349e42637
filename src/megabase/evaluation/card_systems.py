"""The systems of an evaluation card, and the figures of their trainings."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from megabase.data.labelled_dataset import Examples
from megabase.errors import InputError
from megabase.evaluation.baselines import KMERS, kmer_baseline, with_retry
from megabase.evaluation.task_rows import as_bases
from megabase.metrics.bootstrap import Spread, spread
from megabase.metrics.calibration import brier_score, reliability
from megabase.metrics.kmers import kmer_names
from megabase.metrics.label_efficiency import Needed, needed_rows
from megabase.metrics.results import has_collapsed
from megabase.metrics.task_metrics import Kind, Labels, Predictions, difference, metrics_of
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.runtime.log import Meter
from megabase.training.adaptation import moving
from megabase.training.checkpoint import Checkpoints
from megabase.training.finetune_trainer import Seconds
from megabase.training.fit import fit_model
from megabase.training.labelled import LabelledData
from megabase.training.run_config import AdaptConfig

PRETRAINED, SCRATCH = "pretrained", "from scratch"
SYSTEMS = (PRETRAINED, SCRATCH, KMERS)
"""Names of the systems, in the order of tables."""


class Fitted(NamedTuple):
    """A trained system.

    Attributes
    ----------
    answer
        Predicts the labels of rows.
    seconds
        Time of training with validation.
    n_epochs
        Number of epochs; None if there are none.
    n_parameters, n_moving
        Number of all parameters, and of the trained ones.
    learning_rate
        Peak learning rate; NaN if there is none.
    validation
        Validation metrics; empty if they are not needed.
    """

    answer: Callable[[Examples], Predictions]
    seconds: Seconds
    n_epochs: int | None
    n_parameters: int
    n_moving: int
    learning_rate: float = math.nan
    validation: Mapping[str, float] = MappingProxyType({})

    @property
    def is_collapsed(self) -> bool:
        """Whether it is no better than predicting the most frequent class, on validation."""
        return has_collapsed(self.validation)


@dataclass(frozen=True)
class Training:
    """A training run of one system on some rows with one seed.

    Parameters
    ----------
    system
        One of `SYSTEMS`.
    settings
        How the pretrained model is adapted; from scratch uses them, too, but trains all weights.
    language
        The pretrained model; from scratch uses its configuration with random weights.
    data
        Training and validation rows.
    test
        Test rows.
    seed
        Seed of the initial weights and the order of rows.
    """

    system: str
    settings: AdaptConfig
    language: HyenaDNAForCausalLM
    data: LabelledData
    test: Examples
    seed: int

    def run(self, folder: Path, meter: Meter) -> tuple[dict[str, Any], Predictions]:
        """Train the system, and predict the test rows.

        Parameters
        ----------
        folder
            Folder of the checkpoints during training.
        meter
            Progress meter, advanced by epochs.

        Returns
        -------
        record, answers
            The record has the test ``metrics``; ``seconds`` and ``processor_seconds`` (summed
            over threads) from the start of training until the best epoch is loaded, including
            validation; ``peak_memory_bytes``, the peak resident memory of the process so far;
            and the numbers of rows, epochs and parameters. If a model from scratch collapsed
            and was retrained, the figures are those of the run with the better validation
            result, and ``attempts`` has the metrics of both runs.
        """
        fitted, *others = [self._kmers()] if self.system == KMERS else self._models(folder, meter)
        peak = peak_memory_bytes()
        answers, metrics = self._measured(fitted)
        record: dict[str, Any] = {
            "system": self.system,
            "n_rows": len(self.data.training),
            "n_validation": len(self.data.validation),
            "seed": self.seed,
            "metrics": metrics,
            "seconds": fitted.seconds.wall,
            "processor_seconds": fitted.seconds.processor,
            "peak_memory_bytes": peak,
            "n_epochs": fitted.n_epochs,
            "n_parameters": fitted.n_parameters,
            "n_moving": fitted.n_moving,
        }
        if others:
            record["attempts"] = [
                {
                    "learning_rate": each.learning_rate,
                    "metrics": self._measured(each)[1],
                    "is_reported": each is fitted,
                }
                for each in (fitted, *others)
            ]
        return record, answers

    def _measured(self, fitted: Fitted) -> tuple[Predictions, dict[str, float]]:
        answers = fitted.answer(self.test)
        return answers, metrics_of(self.data.kind, self.test.targets(), answers)

    def _models(self, folder: Path, meter: Meter) -> list[Fitted]:
        """Adapt the model, or train one from scratch and retrain it if it collapsed."""
        settings = settings_of(self.system, self.settings)

        def train(rate: float) -> Fitted:
            return self._model(folder / f"{rate:g}", meter, rate)

        if self.system != SCRATCH:
            return [train(settings.peak_rate)]
        name = f"{SCRATCH}, {len(self.data.training):,} rows, seed {self.seed},"
        return with_retry(train, settings.peak_rate, name=name, select=settings.select)

    def _model(self, folder: Path, meter: Meter, rate: float) -> Fitted:
        settings = settings_of(self.system, self.settings)
        model, _, trainer = fit_model(
            settings.model_copy(update={"learning_rate": rate}),
            self.data, self.language, seed=self.seed, checkpoints=Checkpoints(folder), meter=meter,
            is_fresh=self.system == SCRATCH,
        )  # fmt: skip
        return Fitted(
            trainer.answers,
            trainer.seconds(),
            len(trainer.epochs),
            sum(parameter.numel() for parameter in model.parameters()),
            sum(tensor.numel() for tensor in moving(model).values()),
            rate,
            trainer.record()["validation"],
        )

    def _kmers(self) -> Fitted:
        """Fit logistic or ridge regression; its parameters are weights and intercepts."""
        started = Seconds(0.0, 0.0).until_now()
        baseline = kmer_baseline(self.data)
        seconds = started.until_now()
        n_columns = len(kmer_names(baseline.k, canonical=baseline.canonical))
        n_outputs = len(self.data.labels.classes) if self.data.kind == "multiclass" else 1
        n = n_outputs * (n_columns + 1)

        def answer(rows: Examples) -> Predictions:
            return baseline.predict(as_bases(rows))

        return Fitted(answer, seconds, None, n, n)


def settings_of(system: str, settings: AdaptConfig) -> AdaptConfig:
    """Return the settings of a system; from scratch trains all weights."""
    return settings.model_copy(update={"adapt": "full"}) if system == SCRATCH else settings


def peak_memory_bytes() -> int:
    """Return the peak resident memory of this process, in bytes.

    Raises
    ------
    InputError
        If the operating system does not report it.
    """
    try:
        import resource  # noqa: PLC0415 missing on Windows
    except ImportError as error:
        raise InputError("a card measures memory, which requires Linux or macOS") from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere


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
        see `metrics.task_metrics.difference`. ``calibration``: the spread of ``brier`` and
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
