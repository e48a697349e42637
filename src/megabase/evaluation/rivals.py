"""What stands beside a model on a task: the majority, k-mers, a convolutional network."""

from collections.abc import Callable, Mapping
from pathlib import Path

from megabase.data.labelled_dataset import Examples
from megabase.evaluation.task_rows import as_bases
from megabase.inference.predict import joined_predictions
from megabase.measure.base_words import fit_base_words
from megabase.measure.kmers import KmerBaseline, Sequences, constant_predictions, fit_kmers
from megabase.measure.metrics import Predictions
from megabase.run.log import progress
from megabase.training.cnn import fit_cnn
from megabase.training.config import AdaptConfig
from megabase.training.labelled import LabelledData

MAJORITY, KMERS, CNN = "majority", "k-mers", "CNN"
"""Their names in tables."""


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


def cnn(
    settings: AdaptConfig, data: LabelledData, test: Examples, *, seed: int, folder: Path
) -> Predictions:
    """Answer by the network of `training.cnn`, trained and stopped as the model beside it.

    `folder` is what the Trainer is told of; nothing is written.
    """
    with progress(settings.epochs, f"{CNN}, seed {seed}", "epochs") as meter:
        network, _ = fit_cnn(settings, data, seed=seed, folder=folder, meter=meter)
    return test.counted(joined_predictions(network, test.sequences, strand=settings.strand))
