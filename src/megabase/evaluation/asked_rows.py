"""Rows of a few-shot evaluation: test rows to classify, and training rows to demonstrate."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from megabase.data.demonstrations import DemonstrationPool
from megabase.errors import InputError
from megabase.evaluation.examples import Examples, digest
from megabase.evaluation.task_data import TaskData
from megabase.evaluation.task_rows import encoded_rows
from megabase.evaluation.tasks.task import Task
from megabase.genome.answer import answer_letters
from megabase.genome.few_shot import Shot
from megabase.measure.kmers import constant_predictions
from megabase.measure.metrics import Kind, intervals_of, metrics_of
from megabase.measure.result import Result

_log = logging.getLogger(__name__)

_METRICS = ("accuracy", "mcc", "auroc")
_SEED = 0  # of the draw of test rows, and of bootstraps


def check_has_classes(task: Task) -> None:
    """Raise an InputError unless each row of a task belongs to one class."""
    if task.kind not in ("binary", "multiclass"):
        raise InputError(
            f"{task.name} is {task.kind} and has no classes for letters to represent; choose a "
            "task with 2 to 5 classes, such as those of in_context"
        )


@dataclass(frozen=True)
class AskedRows:
    """The encoded rows of a task, and the test rows to classify.

    Parameters
    ----------
    data
        The rows as they were read.
    letters
        The answer letter of each class.
    queries, labels
        The test rows to classify, and their classes.
    training
        All training rows.
    pool
        The training rows that are not queries; demonstrations are drawn from them.
    sha256
        The `examples.digest` of the queries.
    """

    data: TaskData
    letters: str
    queries: list[Shot]
    labels: Int64[np.ndarray, " row"]
    training: list[Shot]
    pool: DemonstrationPool
    sha256: str

    @classmethod
    def of(cls, data: TaskData, n_queries: int | None) -> "AskedRows":
        """Encode the rows of a task, and draw test rows if there are more than `n_queries`.

        Parameters
        ----------
        data
            The rows as they were read.
        n_queries
            Maximum number of test rows to classify; None: all.

        Raises
        ------
        InputError
            If there are more classes than letters, or a row is not valid DNA.
        """
        letters = "".join(data.task.label_letters) or answer_letters(len(data.class_names))
        test = data.splits["test"]
        n_test = len(test)
        chosen = np.arange(n_test)
        if n_queries is not None and n_queries < n_test:
            chosen = np.sort(np.random.default_rng(_SEED).permutation(n_test)[:n_queries])
            _log.info("%s: using %s of %s test rows", data.task.name, n_queries, f"{n_test:,}")
        some = Examples(
            [test.sequences[row] for row in chosen], [test.labels[row] for row in chosen]
        )
        asked, training = (_encoded(data, split) for split in ("test", "train"))
        queries = [asked[row] for row in chosen]
        pool = DemonstrationPool(training, data.class_names, [each.sequence for each in queries])
        labels = np.array([each.label for each in queries], dtype=np.int64)
        sha256 = digest(some, data.class_names)
        return cls(data, letters, queries, labels, training, pool, sha256)

    @property
    def kind(self) -> Kind:
        """The kind of the task, for the metrics."""
        return "binary" if len(self.letters) == 2 else "multiclass"

    def about(self) -> dict[str, Any]:
        """Return plain values that identify the rows."""
        return self.data.to_dict() | {
            "letters": self.letters,
            "n_queries": len(self.queries),
            "n_test_rows": len(self.data.splits["test"]),
            "queries_sha256": self.sha256,
            "n_training_rows_left_out_as_queries": self.pool.n_left_out,
        }

    def majority(self) -> list[Result]:
        """Return the results of predicting the most frequent training class."""
        labels = np.array([each.label for each in self.training], dtype=np.int64)
        n_classes = len(self.letters)
        constant = constant_predictions(self.kind, labels, len(self.queries), n_classes=n_classes)
        return self.results("most frequent class", constant, seed=None, settings={})

    def results(
        self,
        name: str,
        probabilities: Float64[np.ndarray, "row class"],
        *,
        seed: int | None,
        settings: dict[str, Any],
    ) -> list[Result]:
        """Return the metrics of predicted probabilities of the queries.

        Parameters
        ----------
        name
            Name of the model, for tables.
        probabilities
            Probability of each class for each query.
        seed
            Seed of the run; None if nothing is drawn.
        settings
            Settings to store with the results.
        """
        values = metrics_of(self.kind, self.labels, probabilities)
        intervals = intervals_of(self.kind, self.labels, probabilities, seed=_SEED)
        is_whole = len(self.queries) == len(self.data.splits["test"])
        return [
            Result(
                task=self.data.task.name,
                model=name,
                metric=metric,
                value=values[metric],
                interval=intervals[metric],
                seed=seed,
                n_test=len(self.queries),
                data_hash=self.sha256,
                is_published_split=is_whole and self.data.is_published_rows,
                settings=settings,
            )
            for metric in _METRICS
        ]


def _encoded(data: TaskData, split: str) -> list[Shot]:
    rows = data.splits[split]
    tokens = encoded_rows(data.task, split, rows.sequences)
    labels = map(int, rows.labels)  # pyright: ignore[reportArgumentType] of classes
    return [Shot(each, label) for each, label in zip(tokens, labels, strict=True)]
