"""What stands beside a model on a task: the majority, k-mers, a convolutional network."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from megabase.data.labelled_dataset import Examples
from megabase.evaluation.task_rows import as_bases
from megabase.inference.predict import joined_predictions
from megabase.measure.base_words import fit_base_words
from megabase.measure.collapse import MAJORITY, has_collapsed
from megabase.measure.kmers import KmerBaseline, Sequences, constant_predictions, fit_kmers
from megabase.measure.metrics import Predictions
from megabase.run.log import progress
from megabase.training.checkpoint import Checkpoints
from megabase.training.cnn import LEARNING_RATE, RETRY_SHARE, fit_cnn
from megabase.training.config import AdaptConfig
from megabase.training.finetune_trainer import is_better
from megabase.training.labelled import LabelledData

KMERS, CNN = "k-mers", "CNN"
"""Their names in tables, beside that of the majority."""

_log = logging.getLogger(__name__)


@runtime_checkable
class Attempted(Protocol):
    """One training of a baseline: metrics on validation, and whether it collapsed there."""

    @property
    def validation(self) -> Mapping[str, float]:
        """Metrics on validation."""
        ...

    @property
    def is_collapsed(self) -> bool:
        """Whether it collapsed there."""
        ...


A = TypeVar("A", bound=Attempted)


def majority(data: LabelledData, test: Examples) -> Predictions:
    """Answer every row or base with what the training labels alone tell: shares, or the mean."""
    return constant_predictions(
        data.kind,
        data.training.targets(),
        len(test.targets()),
        n_classes=len(data.labels.classes),
    )


def kmer_baseline(data: LabelledData) -> KmerBaseline:
    """Fit logistic or ridge regression to the frequencies of words in the training rows.

    The length of words and the penalty are those that validation likes best.
    """
    return fit_kmers(
        data.kind,
        Sequences(as_bases(data.training), data.training.targets()),
        Sequences(as_bases(data.validation), data.validation.targets()),
        n_classes=len(data.labels.classes),
    )


def kmers(data: LabelledData, test: Examples) -> Predictions:
    """Answer by `kmer_baseline`; a base by the word around it."""
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
"""Rivals in which chance has no part."""


class Attempt(NamedTuple):
    """One training of a baseline.

    Attributes
    ----------
    learning_rate
        Its peak.
    validation
        Metrics on the validation rows; a retry is decided and compared by these.
    answers
        To the test rows.
    """

    learning_rate: float
    validation: Mapping[str, float]
    answers: Predictions

    @property
    def is_collapsed(self) -> bool:
        """Whether it tells no more than the most frequent class."""
        return has_collapsed(self.validation)


def with_retry(
    train: Callable[[float], A], learning_rate: float, *, name: str, select: str
) -> list[A]:
    """Train a baseline, and once more at `RETRY_SHARE` of the rate if it collapsed.

    Whether it collapsed, and which of the two is better, validation says; the test decides nothing.

    Parameters
    ----------
    train
        Trains at a learning rate; gives an `Attempted`.
    learning_rate
        Of the first training.
    name
        Of the baseline, for the log.
    select
        What of validation is compared, as of `AdaptConfig`.

    Returns
    -------
    attempts
        The one to report first, then the other if there is one.
    """
    first = train(learning_rate)
    if not first.is_collapsed:
        return [first]
    lower = learning_rate * RETRY_SHARE
    _log.warning(
        "%s collapsed: on validation it tells no more than the most frequent class; it is trained "
        "once more, with learning_rate %.3g in place of %.3g", name, lower, learning_rate,
    )  # fmt: skip
    again = train(lower)
    better = is_better(select, dict(again.validation), dict(first.validation))
    return [again, first] if better else [first, again]


def cnn(
    settings: AdaptConfig, data: LabelledData, test: Examples, *, seed: int, folder: Path
) -> list[Attempt]:
    """Answer by the network of `training.cnn`, trained and stopped as the model beside it.

    Parameters
    ----------
    folder
        Where its checkpoints lie, in folders that `cnn_checkpoints` names.

    Returns
    -------
    attempts
        As of `with_retry`.
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
    """Return the checkpoints of the network while it trains."""
    return Checkpoints(folder / f"{CNN}-{seed}-{rate:g}.checkpoints")
