"""Train every combination of a sweep from the first seed, and select the best on validation."""

import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from megabase.errors import DivergedError, WorkError
from megabase.run.config import changed
from megabase.training.config import AdaptConfig
from megabase.training.finetune_trainer import is_better

_log = logging.getLogger(__name__)

C = TypeVar("C", bound=AdaptConfig)


class Combination(NamedTuple):
    """One value of each key of a sweep.

    Attributes
    ----------
    name
        Name of its folder.
    values
        The value of each key.
    config
        The configuration with these values, and without a sweep.
    """

    name: str
    values: Mapping[str, Any]
    config: AdaptConfig


def combinations(config: AdaptConfig) -> list[Combination]:
    """Return every combination of a sweep, the last key varying fastest; empty without a sweep.

    Raises
    ------
    InputError
        If a value is invalid for its key.
    """
    if not config.sweep:
        return []
    found: list[Combination] = []
    for number, values in enumerate(itertools.product(*config.sweep.values())):
        keys = dict(zip(config.sweep, values, strict=True))
        each = changed(config, {**keys, "sweep": {}})
        found.append(
            Combination(f"sweep-{number:02d}", {key: getattr(each, key) for key in keys}, each)
        )
    return found


def best_of(
    grid: list[Combination], train: Callable[[Combination], Mapping[str, Any]]
) -> tuple[AdaptConfig, dict[str, Any]]:
    """Train every combination and select the best on validation; of equals, the first.

    Parameters
    ----------
    grid
        The result of `combinations`.
    train
        Trains a combination and returns its record, with ``validation`` and ``best_epoch``.

    Returns
    -------
    config, report
        The best configuration; and its values (``chosen``) with the values, best epoch and
        validation of every combination (the latter two None if it diverged).

    Raises
    ------
    WorkError
        If all combinations diverged.
    """
    best, best_record = None, None
    report: list[dict[str, Any]] = []
    for each in grid:
        shown = ", ".join(f"{key}={value}" for key, value in each.values.items())
        try:
            record = train(each)
        except DivergedError as error:
            _log.info("%s diverged: %s", shown, error)
            report.append({"values": dict(each.values), "best_epoch": None, "validation": None})
            continue
        validation, select = record["validation"], each.config.select
        _log.info("%s: validation %s %.5g", shown, select, validation[select])
        kept = {"best_epoch": record["best_epoch"], "validation": validation}
        report.append({"values": dict(each.values), **kept})
        if best_record is None or is_better(select, validation, best_record["validation"]):
            best, best_record = each, record
    if best is None:
        raise WorkError("every combination of the sweep diverged; sweep lower learning rates")
    return best.config, {"chosen": dict(best.values), "combinations": report}
