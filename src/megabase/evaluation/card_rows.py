"""The rows of an evaluation card: ever fewer of a task's training rows, and validation to match."""

import logging
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.data.nested_subsets import nested_order
from megabase.errors import InputError
from megabase.training.labelled import LabelledData, strata_of

ALL = "all"
"""What stands for all training rows."""

_FEWEST = 2

_log = logging.getLogger(__name__)


def read_sizes(text: str, data: LabelledData, *, name: str) -> tuple[int, ...]:
    """Read the numbers of training rows that a card compares, rising.

    All rows are always among them: calibration, cost and stability are measured on these.

    Parameters
    ----------
    text
        Numbers and ``all``, with commas between them.
    data
        All rows.
    name
        Of the task, for an error.

    Raises
    ------
    InputError
        If one is no number, or the task has fewer rows.
    """
    n_all = len(data.training)
    found: set[int] = set()
    for each in map(str.strip, text.split(",")):
        if each != ALL and not (each.isdecimal() and int(each) >= _FEWEST):
            raise InputError(
                f"--rows is numbers of training rows from {_FEWEST} on, and {ALL}, with commas "
                f"between them, as 32,128,{ALL}; got {text!r}"
            )
        found.add(n_all if each == ALL else int(each))
    if max(found) > n_all:
        raise InputError(
            f"{name} has {n_all:,} training rows (validation is not among them), and --rows asks "
            f"for {max(found):,}; leave out the greater numbers"
        )
    if n_all not in found:
        _log.info(
            "all %s training rows are compared too: calibration, cost and spread are measured on "
            "them", f"{n_all:,}",
        )  # fmt: skip
    return tuple(sorted(found | {n_all}))


def part_of(data: LabelledData, n_rows: int, *, seed: int, validation_seed: int) -> LabelledData:
    """Give a stratified part of the training rows, and no more validation rows than these.

    The part of fewer rows is within that of more (`nested_order`); test rows stay as they are.

    Parameters
    ----------
    data
        All rows.
    n_rows
        Of the part.
    seed
        Of the draw of training rows.
    validation_seed
        Of that of validation rows, which are the same whatever `seed` is.

    Raises
    ------
    InputError
        If a class has no row in the part, or all its targets are one number.
    """
    training = _first(data.training, n_rows, data.labels, seed)
    validation = _first(data.validation, n_rows, data.labels, validation_seed)
    labels = data.labels
    if labels.is_regression:
        values = training.targets().astype(np.float64)
        if values.std() == 0:
            raise InputError(f"the targets of {n_rows} rows are all {values[0]:g}; take more rows")
        labels = Labels((), float(values.mean()), float(values.std()))
    else:
        n_of_class = np.bincount(training.targets(), minlength=len(labels.classes))
        if not n_of_class.all():
            missing = labels.classes[int(n_of_class.argmin())]
            raise InputError(
                f"{n_rows} training rows drawn by seed {seed} have none of class {missing!r}; "
                "take more rows"
            )
    return replace(data, labels=labels, training=training, validation=validation)


def _first(whole: Examples, n_rows: int, labels: Labels, seed: int) -> Examples:
    """Give the first rows of a nested order, as they stand in the table."""
    order = nested_order(strata_of(whole, labels), seed=seed)
    chosen: Int64[np.ndarray, " part"] = np.sort(order[:n_rows])
    return whole.part(chosen)
