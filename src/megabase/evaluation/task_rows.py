"""Encode the rows of a task as tokens and labels, with validation rows for early stopping."""

import logging
from collections.abc import Sequence
from typing import cast

import numpy as np

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.errors import InputError, counted
from megabase.evaluation.tasks.task import LabelGroup, Task
from megabase.evaluation.tasks.task_data import TaskData
from megabase.evaluation.tasks.task_files import TaskExamples
from megabase.genome.vocabulary import DNA_VOCABULARY, TokenArray
from megabase.io.sequence_table import LABEL
from megabase.metrics.kmers import Bases, Sequences
from megabase.metrics.leaks import LeakReport, find_leaks
from megabase.metrics.task_metrics import Labels as RowLabels
from megabase.model.architecture import JOINT
from megabase.training.labelled import LabelledData, part_validation

_log = logging.getLogger(__name__)

PROTOCOLS = ("clean", "paper")
"""Clean: test rows take no part in any choice. Paper: the best epoch is chosen on test rows."""


def labelled_data(
    found: TaskData, *, protocol: str, fraction: float, seed: int, context_length: int | None
) -> tuple[LabelledData, Examples]:
    """Encode the rows of a task; split validation from training rows if the task has none.

    Parameters
    ----------
    found
        The rows.
    protocol
        One of `PROTOCOLS`; with ``"paper"`` the test rows are also the validation rows.
    fraction
        Fraction of the training rows to use for validation.
    seed
        Seed of that draw.
    context_length
        Maximum number of tokens of a row; None: the length of the longest row.

    Returns
    -------
    data, test
        All splits, and the test rows.

    Raises
    ------
    InputError
        If the task has no training or test rows, or a row is longer than the context.
    """
    for split in ("train", "test"):
        if not found.splits.get(split):
            raise InputError(
                f"{found.task.name} has no {split} rows in {found.place}; "
                "--substitute-split uses other rows in their place, and reports it"
            )
    labels = _labels(found)
    parts = {split: _examples(found, labels, split) for split in found.splits}
    longest = max(int(part.lengths().max()) for part in parts.values())
    if context_length is not None and longest > context_length:
        raise InputError(
            f"{found.task.name} has a row of {longest:,} bp, and the model reads at most "
            f"{context_length:,}; use a model with a longer context"
        )
    training, validation = parts["train"], parts.get("validation")
    if protocol == "paper":
        validation = parts["test"]
    elif validation is None:
        training, validation = part_validation(training, labels, fraction=fraction, seed=seed)
    data = LabelledData(
        labels=labels,
        training=training,
        validation=validation,
        test=parts["test"],
        test_rows=_as_table(found.splits["test"], labels),
        context_length=context_length or longest,
        test_name=f"the test of {found.task.name}",
        label_groups={group.name: _of(group) for group in found.task.label_groups} or None,
    )
    return data, parts["test"]


def leaks_of(data: LabelledData, test: Examples, *, seed: int) -> LeakReport:
    """Compare the test rows with the training and validation rows.

    If labels are per base, shortcuts are measured against the mean label of each sequence.

    Parameters
    ----------
    data
        Training and validation rows; validation is ignored if it is `test`.
    test
        Test rows.
    seed
        Seed of samples drawn for the comparison.
    """
    seen = [data.training, *([data.validation] if data.validation is not test else [])]
    return find_leaks(
        "regression" if data.labels.per_base else data.kind,
        Sequences(
            [bases for part in seen for bases in as_bases(part)],
            np.concatenate([_of_rows(part) for part in seen]),
        ),
        Sequences(as_bases(test), _of_rows(test)),
        n_classes=0 if data.labels.per_base else len(data.labels.classes),
        seed=seed,
    )


def as_bases(examples: Examples) -> list[Bases]:
    """Return the sequences as base codes, the input of the k-mer baselines."""
    return [DNA_VOCABULARY.to_bases(tokens) for tokens in examples.sequences]


def _of_rows(examples: Examples) -> RowLabels:
    labels = examples.labels
    return labels if isinstance(labels, np.ndarray) else np.array([each.mean() for each in labels])


def _labels(found: TaskData) -> Labels:
    if found.task.kind == "regression":
        values = np.array(found.splits["train"].labels, dtype=np.float64)
        if values.std() == 0:
            raise InputError(
                f"every target of {found.task.name} is {values[0]}; a regression needs targets "
                "that vary"
            )
        return Labels((), float(values.mean()), float(values.std()))
    if found.task.kind == "multilabel":
        names = tuple(f"{group.name}_{n}" for group in found.task.label_groups for n in _of(group))
        return Labels(names, is_multilabel=True)
    return Labels(found.class_names, per_base=found.task.kind == "per_base")


def _of(group: LabelGroup) -> range:
    return range(group.start, group.end)


def encoded_rows(task: Task, split: str, sequences: Sequence[str]) -> list[TokenArray]:
    """Encode rows of a task as tokens; the number of ambiguous letters read as N is logged.

    Parameters
    ----------
    task
        The task, for messages.
    split
        Name of the split, for messages.
    sequences
        Letters of each row.

    Raises
    ------
    InputError
        If a row is not valid DNA; the message has its number.
    """
    name = f"{task.name}, {split}"
    encoded = [
        DNA_VOCABULARY.encode(letters, name=f"{name}, row {number}")
        for number, letters in enumerate(sequences, start=1)
    ]
    if n_ambiguous := sum(each.n_ambiguous for each in encoded):
        n = counted(n_ambiguous, "ambiguous letter was", "ambiguous letters were")
        _log.info("%s: %s read as N", name, n)
    return [each.tokens for each in encoded]


def _examples(found: TaskData, labels: Labels, split: str) -> Examples:
    rows = found.splits[split]
    tokens = encoded_rows(found.task, split, rows.sequences)
    if labels.per_base:
        return Examples(tokens, [np.asarray(label, dtype=np.int64) for label in rows.labels])
    if labels.is_multilabel:
        return Examples(tokens, np.array(rows.labels, dtype=np.uint8))
    of_type = np.float32 if labels.is_regression else np.int64
    return Examples(tokens, np.array(rows.labels, dtype=of_type))


def _as_table(rows: TaskExamples, labels: Labels) -> list[dict[str, str]]:
    if labels.per_base:
        return [{} for _ in rows.sequences]
    texts: Sequence[object] = rows.labels
    if labels.is_multilabel:
        texts = [JOINT.join(np.array(labels.classes)[np.array(each) > 0]) for each in texts]
    elif labels.classes:
        texts = [labels.classes[int(cast("int", label))] for label in rows.labels]
    return [
        {"sequence": letters, LABEL: str(text)}
        for letters, text in zip(rows.sequences, texts, strict=True)
    ]
