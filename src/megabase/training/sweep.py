"""A small declared grid: every combination from the first seed, the best by validation is taken."""

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
    """One value of each key of a grid.

    Attributes
    ----------
    name
        Of its folder.
    values
        Of each key.
    config
        The run with these values, and without a grid.
    """

    name: str
    values: Mapping[str, Any]
    config: AdaptConfig


def combinations(config: AdaptConfig) -> list[Combination]:
    """Give every combination of a run's grid, the last key running fastest; none without a grid.

    Raises
    ------
    InputError
        If a value is none of its key.
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
    """Train every combination, and take the best on validation, of equals the first.

    Parameters
    ----------
    grid
        What `combinations` gives.
    train
        Gives the record of one, with ``validation`` and ``best_epoch``.

    Returns
    -------
    config, report
        The run that is the best; its values as ``chosen``, and of every combination its values
        and what became of it on validation, None where it diverged.

    Raises
    ------
    WorkError
        If all diverged.
    """
    best, best_record = None, None
    report: list[dict[str, Any]] = []
    for each in grid:
        shown = ", ".join(f"{key}={value}" for key, value in each.values.items())
        try:
            record = train(each)
        except DivergedError as error:
            _log.info("%s is out: %s", shown, error)
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
