"""Baselines of a task: the majority, k-mers and a convolutional network."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from megabase.data.labelled_dataset import Examples
from megabase.evaluation.task_rows import as_bases
from megabase.inference.predictions import joined_predictions
from megabase.metrics.kmers import (
    KmerBaseline,
    Sequences,
    constant_predictions,
    fit_base_words,
    fit_kmers,
)
from megabase.metrics.results import MAJORITY, has_collapsed
from megabase.metrics.task_metrics import Predictions
from megabase.runtime.log import progress
from megabase.training.checkpoint import Checkpoints
from megabase.training.cnn import LEARNING_RATE, RETRY_SHARE, fit_cnn
from megabase.training.finetune_trainer import is_better
from megabase.training.labelled import LabelledData
from megabase.training.run_config import AdaptConfig

KMERS, CNN = "k-mers", "CNN"
"""The names of these baselines in tables; that of the majority is `metrics.results.MAJORITY`."""

_log = logging.getLogger(__name__)


@runtime_checkable
class Attempted(Protocol):
    """A training run: its validation metrics, and whether it collapsed on validation."""

    @property
    def validation(self) -> Mapping[str, float]:
        """Validation metrics."""
        ...

    @property
    def is_collapsed(self) -> bool:
        """Whether the run collapsed on validation."""
        ...


A = TypeVar("A", bound=Attempted)


def majority(data: LabelledData, test: Examples) -> Predictions:
    """Predict for every row or base the class shares, or the mean, of the training labels.

    Parameters
    ----------
    data
        Training rows.
    test
        The rows to predict.
    """
    return constant_predictions(
        data.kind,
        data.training.targets(),
        len(test.targets()),
        n_classes=len(data.labels.classes),
    )


def kmer_baseline(data: LabelledData) -> KmerBaseline:
    """Fit logistic or ridge regression to the k-mer frequencies of the training rows.

    The length k and the penalty are those with the best validation result.
    """
    return fit_kmers(
        data.kind,
        Sequences(as_bases(data.training), data.training.targets()),
        Sequences(as_bases(data.validation), data.validation.targets()),
        n_classes=len(data.labels.classes),
    )


def kmers(data: LabelledData, test: Examples) -> Predictions:
    """Predict rows with `kmer_baseline`; if labels are per base, from the k-mer around each base.

    Parameters
    ----------
    data
        Training and validation rows.
    test
        The rows to predict.
    """
    if not data.labels.per_base:
        return kmer_baseline(data).predict(as_bases(test))
    words = fit_base_words(
        (as_bases(data.training), data.training.labels),
        (as_bases(data.validation), data.validation.labels),
        n_classes=len(data.labels.classes),
    )
    return test.counted(words.predict(as_bases(test)))


FIXED: Mapping[str, Callable[[LabelledData, Examples], Predictions]] = {
    MAJORITY: majority,
    KMERS: kmers,
}
"""Deterministic baselines, by name."""


class Attempt(NamedTuple):
    """A training run of a baseline.

    Attributes
    ----------
    learning_rate
        Peak learning rate.
    validation
        Metrics of the validation rows; they decide on a retry and compare the runs.
    answers
        Predictions of the test rows.
    """

    learning_rate: float
    validation: Mapping[str, float]
    answers: Predictions

    @property
    def is_collapsed(self) -> bool:
        """Whether the run is no better than predicting the most frequent class."""
        return has_collapsed(self.validation)


def with_retry(
    train: Callable[[float], A], learning_rate: float, *, name: str, select: str
) -> list[A]:
    """Train a baseline; if it collapsed, retrain it at `RETRY_SHARE` of the learning rate.

    Only validation decides whether a run collapsed and which of two runs is better.

    Parameters
    ----------
    train
        A function that trains at a learning rate and returns an `Attempted`.
    learning_rate
        Learning rate of the first run.
    name
        Name of the baseline, for the log.
    select
        The validation metric that is compared; see `AdaptConfig.select`.

    Returns
    -------
    attempts
        The run to report, then the other run if there is one.
    """
    first = train(learning_rate)
    if not first.is_collapsed:
        return [first]
    lower = learning_rate * RETRY_SHARE
    _log.warning(
        "%s collapsed: on validation it is no better than predicting the most frequent class; "
        "retraining with learning_rate %.3g instead of %.3g", name, lower, learning_rate,
    )  # fmt: skip
    again = train(lower)
    better = is_better(select, dict(again.validation), dict(first.validation))
    return [again, first] if better else [first, again]


def cnn(
    settings: AdaptConfig, data: LabelledData, test: Examples, *, seed: int, folder: Path
) -> list[Attempt]:
    """Train the network of `training.cnn` and predict the test rows; retry if it collapsed.

    Parameters
    ----------
    settings
        Epochs, early stopping and strand, as for the model it is compared with.
    data
        Training and validation rows.
    test
        The rows to predict.
    seed
        Seed of the initial weights and the order of rows.
    folder
        Folder of the checkpoints; `cnn_checkpoints` names them.

    Returns
    -------
    attempts
        The run to report, then the other run if there is one.
    """

    def train(rate: float) -> Attempt:
        with progress(settings.epochs, f"{CNN}, seed {seed}", "epochs") as meter:
            network, record = fit_cnn(
                settings, data, seed=seed, meter=meter, learning_rate=rate,
                checkpoints=cnn_checkpoints(folder, seed, rate),
            )  # fmt: skip
        found = joined_predictions(network, test.sequences, strand=settings.strand)
        return Attempt(rate, record["validation"], test.counted(found))

    name = f"{CNN}, seed {seed},"
    return with_retry(train, LEARNING_RATE, name=name, select=settings.select)


def cnn_checkpoints(folder: Path, seed: int, rate: float) -> Checkpoints:
    """Return the checkpoints of a training run of the CNN."""
    return Checkpoints(folder / f"{CNN}-{seed}-{rate:g}.checkpoints")
