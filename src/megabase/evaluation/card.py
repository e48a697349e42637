"""evaluate_card(...): what pretraining is worth on a task: labels, calibration, cost, spread."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Int64

from megabase.data.labelled_dataset import Examples
from megabase.data.labels import Labels
from megabase.data.splits import nested_order
from megabase.errors import InputError, counted
from megabase.evaluation.baselines import KMERS, majority
from megabase.evaluation.card_systems import (
    PRETRAINED,
    SCRATCH,
    SYSTEMS,
    Training,
    peak_memory_bytes,
    settings_of,
    summarise_card,
)
from megabase.evaluation.task_rows import labelled_data
from megabase.evaluation.tasks.catalogue import find_task
from megabase.evaluation.tasks.task import Task
from megabase.evaluation.tasks.task_data import Choice
from megabase.metrics.classifiers import check_sklearn
from megabase.metrics.results import without_nan
from megabase.metrics.task_metrics import Predictions, metrics_of
from megabase.model.footprint import seconds_per_token
from megabase.model.load import load
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.reading import weights_sha256
from megabase.report.card_report import (
    EFFICIENCY,
    RELIABILITY,
    card_page,
    card_text,
    draw_label_efficiency,
    draw_reliabilities,
)
from megabase.report.figures import figure_class
from megabase.runtime.cells import Cell, Cells, Runner, load_json, save_json
from megabase.runtime.environment import machine, versions
from megabase.runtime.log import Meter, progress
from megabase.training.finetune import check
from megabase.training.fit import starting_model
from megabase.training.labelled import LabelledData, strata_of
from megabase.training.memory_plan import rows_per_pass
from megabase.training.run_config import AdaptConfig

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


JSON, TEXT, PAGE = "card.json", "card.md", "card.html"
ROWS = "32,128,512,all"
"""The numbers of training rows that a card compares by default."""

_PARTS, _ANSWERS = "parts", ".npy"
_KINDS = ("binary", "multiclass", "regression")


def evaluate_card(
    name: str,
    output: Path,
    *,
    choice: Choice,
    settings: AdaptConfig,
    rows: str = ROWS,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Compare a pretrained model with one from scratch of the same size, and with k-mers.

    All systems are trained on the same increasing numbers of rows and measured on all test rows.
    The folder gets `card.json`, `card.md`, `card.html` and the figures. An interrupted run
    resumes at the system, number of rows, seed and step it had reached.

    Parameters
    ----------
    name
        Name of a task; see `catalogue.find_task`.
    output
        The folder to write.
    choice
        Where the rows come from; the protocol must be clean.
    settings
        How the model is adapted; from scratch uses them, too, but trains all weights. A seed
        draws rows, heads and initial weights.
    rows
        Numbers of training rows, or ``all``, separated by commas; see `card.read_sizes`.
    overwrite
        Replace an existing output.

    Returns
    -------
    report
        The content of `card.json`.

    Raises
    ------
    InputError
        If no model is given, or the task, its data, the model or the output cannot be used.
    WorkError
        If a loss becomes NaN or infinite.
    """
    task = find_task(name)
    model = _check(task, choice, settings)
    found = choice.read(task, settings.seed)
    language = load(model).model
    data, test = labelled_data(
        found, protocol=choice.protocol, fraction=settings.validation_fraction,
        seed=settings.seed, context_length=language.config.context_length,
    )  # fmt: skip
    for system in (PRETRAINED, SCRATCH):
        check(settings_of(system, settings), data, language)
    about: dict[str, Any] = {
        "task": task.name,
        "metric": task.metric,
        "choice": choice.request(),
        "settings": settings.request(),
        "model_sha256": weights_sha256(language),
        "rows": list(read_sizes(rows, data, name=task.name)),
    }
    request = {"command": "card", **about, "sha256": dict(found.sha256)}
    runner = Runner(output, request, report=JSON, work=_PARTS, overwrite=overwrite)
    if not runner.is_finished:
        runs = _CardRuns(settings, language, data, test, about["rows"], runner.work)
        runs.tell()
        with runner.running():
            _write(about | {"data": found.to_dict()}, runs, runner)
    return runner.report()


def _check(task: Task, choice: Choice, settings: AdaptConfig) -> str:
    """Check, before any work, that the card is possible; return the name of the model."""
    figure_class()
    check_sklearn()
    peak_memory_bytes()
    if settings.model is None:
        raise InputError(
            "a card compares a pretrained model with one from scratch of the same size; name the "
            "pretrained one with --model"
        )
    if settings.sweep:
        raise InputError("a card has no sweep, because all its runs share the same settings")
    if choice.protocol != "clean":
        raise InputError(f"the protocol of a card must be clean; got {choice.protocol!r}")
    if task.kind not in _KINDS:
        raise InputError(f"{task.name} is {task.kind}; a card needs a {', '.join(_KINDS)} task")
    return settings.model


@dataclass(frozen=True)
class _CardRuns:
    """The training runs of all systems, numbers of rows and seeds, and the folder of results."""

    settings: AdaptConfig
    language: HyenaDNAForCausalLM
    data: LabelledData
    test: Examples
    sizes: Sequence[int]
    folder: Path

    def trainings(self) -> dict[str, Training]:
        """Return all training runs, by the name of their cell.

        k-mers on all rows are fitted once, because that fit is deterministic.
        """
        first = self.settings.seed
        found: dict[str, Training] = {}
        for n_rows in self.sizes:
            for seed in range(first, first + self.settings.n_seeds):
                part = part_of(self.data, n_rows, seed=seed, validation_seed=first)
                for system in SYSTEMS:
                    if system == KMERS and n_rows == self.sizes[-1] and seed != first:
                        continue
                    name = f"{system.replace(' ', '-')}-{n_rows}-{seed}"
                    found[name] = Training(
                        system, self.settings, self.language, part, self.test, seed
                    )
        return found

    def tell(self) -> None:
        """Log the runs to do and an upper bound on their time."""
        config = settings_of(SCRATCH, self.settings)
        model, _ = starting_model(config, self.data, self.language, seed=config.seed, is_fresh=True)
        lengths = self.data.training.lengths()
        at_once, _ = rows_per_pass(config, model.config, int(lengths.max()))
        each = seconds_per_token(model, int(lengths.max()), at_once=at_once, training=True)
        n_rows = sum(self.sizes) * config.n_seeds * 2 * config.epochs
        _log.info(
            "%s training rows, %s, pretrained and from scratch: at most about %.1f minutes",
            ", ".join(f"{n:,}" for n in self.sizes),
            counted(config.n_seeds, "seed"),
            n_rows * float(lengths.mean()) * each / 60,
        )

    def measured(self) -> list["_Measured"]:
        """Train the systems that an interrupted run had not finished; return what all found."""
        trainings, epochs = self.trainings(), self.settings.epochs
        sizes = {name: 0 if each.system == KMERS else epochs for name, each in trainings.items()}
        with progress(sum(sizes.values()), "card", "epochs") as meter:
            runs = [
                Cell(name, partial(self._run, name, each, meter), sizes[name])
                for name, each in trainings.items()
            ]
            cells = Cells(self.folder, _save, _load, suffix=".json", companions=[_ANSWERS])
            return cells.compute(runs, meter)

    def _run(self, name: str, training: Training, meter: Meter) -> "_Measured":
        record, answers = training.run(self.folder / f"{name}.checkpoints", meter)
        return _Measured(cast("dict[str, Any]", without_nan(record)), answers)

    def answers(self, measured: Sequence["_Measured"]) -> Mapping[str, list[Predictions]]:
        """Return each system's predictions of the test rows for each seed, trained on all rows."""
        found: dict[str, list[Predictions]] = {system: [] for system in SYSTEMS}
        for each in measured:
            if each.record["n_rows"] == self.sizes[-1]:
                found[each.record["system"]].append(each.answers)
        return found


class _Measured(NamedTuple):
    """The record of a training, and its predictions of the test rows."""

    record: dict[str, Any]
    answers: Predictions


def _save(measured: _Measured, path: Path) -> None:
    np.save(f"{path}{_ANSWERS}", measured.answers)
    save_json(measured.record, path)


def _load(path: Path) -> _Measured:
    return _Measured(dict(load_json(path)), np.load(f"{path}{_ANSWERS}"))


def _write(about: Mapping[str, Any], runs: _CardRuns, runner: Runner) -> None:
    """Train all systems, and write the complete card."""
    measured, data = runs.measured(), runs.data
    records, answers = [each.record for each in measured], runs.answers(measured)
    of_majority = metrics_of(data.kind, runs.test.targets(), majority(data, runs.test))
    floor = of_majority[about["metric"]]
    rates = {name: settings_of(name, runs.settings).peak_rate for name in SYSTEMS if name != KMERS}
    report: dict[str, Any] = {
        **about,
        "kind": data.kind,
        "n_validation": len(data.validation),
        "n_test": len(runs.test),
        "learning_rates": rates,
        **summarise_card(
            about["metric"],
            data.kind,
            records,
            answers,
            runs.test.targets(),
            majority=floor,
            seed=runs.settings.seed,
        ),
        "runs": records,
        "versions": versions(),
        "machine": machine(),
    }
    with runner.finishing(without_nan(report)) as folder:
        draw_label_efficiency(report, folder / EFFICIENCY)
        if report["calibration"] is not None:
            draw_reliabilities(runs.test.targets(), answers, folder / RELIABILITY)
        (folder / TEXT).write_text(card_text(report), encoding="utf-8", errors="backslashreplace")
        (folder / PAGE).write_text(
            card_page(report, folder), encoding="utf-8", errors="backslashreplace"
        )
