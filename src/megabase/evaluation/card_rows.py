"""The rows of an evaluation card: nested subsets of a task's training rows."""

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
"""The word for all training rows."""

_FEWEST = 2

_log = logging.getLogger(__name__)


def read_sizes(text: str, data: LabelledData, *, name: str) -> tuple[int, ...]:
    """Return the numbers of training rows that a card compares, in rising order.

    The number of all rows is always included: calibration, cost and stability are measured on
    all rows.

    Parameters
    ----------
    text
        Numbers, or ``all``, separated by commas.
    data
        All rows.
    name
        Name of the task, for error messages.

    Raises
    ------
    InputError
        If a number is invalid, or greater than the number of training rows.
    """
    n_all = len(data.training)
    found: set[int] = set()
    for each in map(str.strip, text.split(",")):
        if each != ALL and not (each.isdecimal() and int(each) >= _FEWEST):
            raise InputError(
                f"--rows must be numbers of training rows of at least {_FEWEST}, or {ALL}, "
                f"separated by commas, as in 32,128,{ALL}; got {text!r}"
            )
        found.add(n_all if each == ALL else int(each))
    if max(found) > n_all:
        raise InputError(
            f"{name} has {n_all:,} training rows (without validation), but --rows requests "
            f"{max(found):,}; leave out the greater numbers"
        )
    if n_all not in found:
        _log.info(
            "all %s training rows are included: calibration, cost and stability are measured on "
            "them", f"{n_all:,}",
        )  # fmt: skip
    return tuple(sorted(found | {n_all}))


def part_of(data: LabelledData, n_rows: int, *, seed: int, validation_seed: int) -> LabelledData:
    """Return a stratified subset of the training rows, and at most as many validation rows.

    A smaller subset is contained in a larger one (`nested_order`). Test rows are unmodified.

    Parameters
    ----------
    data
        All rows.
    n_rows
        Number of training rows in the subset.
    seed
        Seed of the draw of training rows.
    validation_seed
        Seed of the draw of validation rows, which do not depend on `seed`.

    Raises
    ------
    InputError
        If a class has no row in the subset, or all targets of the subset are equal.
    """
    training = _first(data.training, n_rows, data.labels, seed)
    validation = _first(data.validation, n_rows, data.labels, validation_seed)
    labels = data.labels
    if labels.is_regression:
        values = training.targets().astype(np.float64)
        if values.std() == 0:
            raise InputError(f"the targets of {n_rows} rows all equal {values[0]:g}; use more rows")
        labels = Labels((), float(values.mean()), float(values.std()))
    else:
        n_of_class = np.bincount(training.targets(), minlength=len(labels.classes))
        if not n_of_class.all():
            missing = labels.classes[int(n_of_class.argmin())]
            raise InputError(
                f"{n_rows} training rows drawn with seed {seed} have no row of class {missing!r}; "
                "use more rows"
            )
    return replace(data, labels=labels, training=training, validation=validation)


def _first(whole: Examples, n_rows: int, labels: Labels, seed: int) -> Examples:
    """Return the first rows of a nested order, sorted into the order of the table."""
    order = nested_order(strata_of(whole, labels), seed=seed)
    chosen: Int64[np.ndarray, " part"] = np.sort(order[:n_rows])
    return whole.part(chosen)
