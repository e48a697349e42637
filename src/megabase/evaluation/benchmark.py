"""Adapt a model to tasks, and compare it with baselines in one resumable run."""

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from megabase.errors import InputError
from megabase.evaluation.baselines import CNN, FIXED, cnn, with_retry
from megabase.evaluation.probes import PROBES, Frozen, check_probes
from megabase.evaluation.task_rows import PROTOCOLS, labelled_data, leaks_of
from megabase.evaluation.tasks.catalogue import find_tasks
from megabase.evaluation.tasks.task import Task
from megabase.evaluation.tasks.task_data import Choice
from megabase.metrics.classifiers import check_labels, check_sklearn
from megabase.metrics.results import Result, has_collapsed
from megabase.metrics.task_metrics import Predictions, metrics_of
from megabase.model.load import load
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.reading import weights_sha256
from megabase.report.benchmark_report import benchmark_page, benchmark_text
from megabase.runtime.cells import Cell, Runner, json_cells
from megabase.runtime.environment import machine, versions
from megabase.training.finetune import METRICS, adapt, check
from megabase.training.outcome import intervals
from megabase.training.run_config import AdaptConfig

_log = logging.getLogger(__name__)

RESULTS, TEXT, PAGE = "results.json", "report.md", "report.html"
SCRATCH = "megabase, from scratch"
"""The name in tables of the model that is trained from scratch."""
_TASKS, _MODEL, _FRESH = "tasks", "model", "from-scratch"


def evaluate_tasks(
    patterns: Iterable[str],
    output: Path,
    *,
    choice: Choice,
    settings: AdaptConfig,
    probes: bool = False,
    from_scratch: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Adapt a model to each task; compare it with the majority, k-mers and a CNN on the same rows.

    For a task whose rows are read in chunks, only frozen embeddings, k-mers and the majority are
    measured.

    The folder gets `results.json`, `report.md` and `report.html`, and below ``tasks/`` the
    adapted model of each task with its predictions, in the format of `megabase finetune`. An
    interrupted run resumes at the model, seed and step it had reached.

    A baseline that collapses on validation (`results.has_collapsed`) is retrained once at a lower
    learning rate; the settings of its results list both attempts.

    Parameters
    ----------
    patterns
        Names or patterns of tasks; see `catalogue.find_tasks`.
    output
        The folder to write.
    choice
        Where the rows come from.
    settings
        How the model is adapted; the CNN uses the same epochs, seeds and early stopping.
    probes
        Also measure the model's frozen embeddings (`probes.Frozen`).
    from_scratch
        Also train, in full, a randomly initialised model of the same size.
    overwrite
        Replace an existing output.

    Returns
    -------
    report
        The content of `results.json`.

    Raises
    ------
    InputError
        If a task, its data, the model or the output cannot be used.
    """
    if choice.protocol not in PROTOCOLS:
        raise InputError(f"protocol must be one of {', '.join(PROTOCOLS)}; got {choice.protocol!r}")
    check_sklearn()
    tasks = find_tasks(patterns)
    check_probes(tasks, has_model=settings.model is not None, is_asked=probes)
    if from_scratch and settings.model is None:
        raise InputError(
            "--from-scratch compares with a pretrained model, and none was given; name one "
            "with --model"
        )
    language = None if settings.model is None else load(settings.model).model
    run = partial(
        _TaskRun, choice=choice, settings=settings, language=language, output=output, probes=probes,
        from_scratch=from_scratch,
    )  # fmt: skip
    request = {
        "command": "evaluate",
        "tasks": {task.name: run(task).checked() for task in tasks},
        "choice": choice.request(),
        "settings": settings.request(),
        "probes": probes,
        "model": None if language is None else weights_sha256(language),
    } | ({"from_scratch": True} if from_scratch else {})
    runner = Runner(
        output, request, report=RESULTS, work=_TASKS, keeps_work=True, overwrite=overwrite
    )
    if runner.is_finished:
        return runner.report()
    with runner.running():
        report: dict[str, Any] = {
            "protocol": choice.protocol,
            "settings": request["settings"],
            "probes": probes,
            "model_sha256": request["model"],
            "versions": versions(),
            "machine": machine(),
            "tasks": [run(task).report() for task in tasks],
        }
        with runner.finishing(report) as folder:
            (folder / TEXT).write_text(
                benchmark_text(report), encoding="utf-8", errors="backslashreplace"
            )
            (folder / PAGE).write_text(
                benchmark_page(report, output), encoding="utf-8", errors="backslashreplace"
            )
    return report


class _TaskRun:
    """The run of one task: its rows, its systems and the folder of its results."""

    def __init__(
        self,
        task: Task,
        choice: Choice,
        settings: AdaptConfig,
        language: HyenaDNAForCausalLM | None,
        output: Path,
        *,
        probes: bool,
        from_scratch: bool,
    ) -> None:
        self._found = found = choice.read(task, settings.seed)
        self._language = language
        self._is_compared = from_scratch
        self._folder = output / _TASKS / found.task.name.replace("/", "--")
        self._cells = json_cells(self._folder, dict[str, Any])
        self._settings = settings
        if choice.protocol == "paper":
            self._settings = settings.model_copy(update={"select": found.task.metric})
        limit = settings.context_length if language is None else language.config.context_length
        chunks = found.task.chunks
        self._data, self._test = labelled_data(
            found,
            protocol=choice.protocol,
            fraction=settings.validation_fraction,
            seed=settings.seed,
            context_length=None if chunks else limit,
        )
        self._frozen = None
        if probes and language is not None:
            self._frozen = Frozen(
                found.task.name, language, settings, self._data, self._test, self._folder,
                chunks=chunks,
            )  # fmt: skip

    def checked(self) -> dict[str, str]:
        """Check that the model can be adapted to the task; return the digests of the rows."""
        if not self._found.task.chunks:
            check(self._settings, self._data, self._language)
        if not self._data.labels.per_base:  # k-mers and probes choose a setting on validation
            training, validation = self._data.training, self._data.validation
            check_labels(self._data.kind, training.targets(), validation.targets())
        return dict(self._found.sha256)

    def report(self) -> dict[str, Any]:
        """Measure leaks, baselines and the model."""
        data = self._data
        if data.validation is self._test:
            _log.warning(
                "%s: protocol paper: the best epoch is chosen on the reported test rows, so the "
                "results are optimistic",
                self._found.task.name,
            )
        leaks = leaks_of(data, self._test, seed=self._settings.seed)
        _log.info("%s: %s", self._found.task.name, leaks)
        results = [
            *(each for name, predict in FIXED.items() for each in self._fixed(name, predict)),
            *(self._probes(self._frozen) if self._frozen else ()),
            *(() if self._found.task.chunks else self._trained()),
        ]
        figure = self._frozen and self._frozen.draw()
        return {
            "data": self._found.to_dict(),
            "metric": self._found.task.metric,
            "n_rows_used": {
                "training": len(data.training),
                "validation": len(data.validation),
                "test": len(self._test),
            },
            "leaks": leaks.to_dict(),
            "notes": list(self._found.task.notes),
            "chunks": self._found.task.chunks,
            "figure": figure and f"{_TASKS}/{self._folder.name}/{figure}",
            "results": [each.to_row() for each in results],
            "published": [asdict(each) for each in self._found.published()],
            "n_published_left_out": len(self._found.task.published) - len(self._found.published()),
        }

    def _seeds(self) -> Sequence[int]:
        return range(self._settings.seed, self._settings.seed + self._settings.n_seeds)

    def _fixed(self, name: str, predict: Callable[..., Any]) -> list[Result]:
        def measure() -> dict[str, Any]:
            return self._measured(predict(self._data, self._test))

        return self._results(name, None, self._kept(name, measure))

    def _probes(self, frozen: Frozen) -> Iterator[Result]:
        for name, method in PROBES.items():

            def measure(name: str = name) -> dict[str, Any]:
                answers, settings = frozen.fit(name)
                measured = self._measured(answers)
                return {key: each | {"settings": settings} for key, each in measured.items()}

            seed = self._settings.seed if method == "boosting" else None
            yield from self._results(name, seed, self._kept(name.replace(", ", "-"), measure))

    def _trained(self) -> list[Result]:
        baselines = [each for seed in self._seeds() for each in self._cnn(seed)]
        if self._language is None:
            return [*baselines, *self._ours(SCRATCH, _MODEL)]
        if self._is_compared:
            baselines += self._from_scratch()
        return [*baselines, *self._ours(f"megabase, pretrained, {self._settings.adapt}", _MODEL)]

    def _cnn(self, seed: int) -> list[Result]:
        def measure() -> dict[str, Any]:
            found = cnn(self._settings, self._data, self._test, seed=seed, folder=self._folder)
            return _of_attempts(
                [(each.learning_rate, self._measured(each.answers)) for each in found]
            )

        return self._results(CNN, seed, self._kept(f"{CNN}-{seed}", measure))

    def _from_scratch(self) -> list[Result]:
        """Train a model from scratch with all seeds; retrain all if one of them collapsed.

        Nothing is retrained if learning rates are swept: then several have been tried.
        """
        settings = self._settings.model_copy(update={"adapt": "full"})
        if "learning_rate" in settings.sweep:
            report = self._adapted(settings, self._folder / _FRESH, is_fresh=True)
            return self._results_of(SCRATCH, report)

        def train(rate: float) -> _FromScratch:
            is_first = rate == settings.peak_rate
            tried = settings if is_first else settings.model_copy(update={"learning_rate": rate})
            folder = self._folder / (_FRESH if is_first else f"{_FRESH}-again")
            return _FromScratch(rate, self._adapted(tried, folder, is_fresh=True))

        attempts = with_retry(train, settings.peak_rate, name=SCRATCH, select=settings.select)
        measured = [(each.learning_rate, _of_seeds(each.report)) for each in attempts]
        return [
            result
            for seed in self._seeds()
            for result in self._results(
                SCRATCH, seed, _of_attempts([(rate, seeds[seed]) for rate, seeds in measured])
            )
        ]

    def _ours(self, name: str, kept: str) -> list[Result]:
        """Adapt the model in a folder, and return the results of each seed."""
        return self._results_of(name, self._adapted(self._settings, self._folder / kept))

    def _results_of(self, name: str, report: Mapping[str, Any]) -> list[Result]:
        return [
            result
            for seed, measured in _of_seeds(report).items()
            for result in self._results(name, seed, measured)
        ]

    def _adapted(
        self, settings: AdaptConfig, folder: Path, *, is_fresh: bool = False
    ) -> dict[str, Any]:
        """Adapt the model, or train one from scratch, with all seeds; return their metrics."""
        adapt(
            settings, self._data, self._language, folder,
            command=f"evaluate {self._found.task.name}", inputs=self._found.sha256,
            is_fresh=is_fresh,
        )  # fmt: skip
        return json.loads((folder / METRICS).read_text(encoding="utf-8"))

    def _measured(self, answers: Predictions) -> dict[str, Any]:
        """Return each metric of predictions of the test rows, with its interval."""
        data, labels = self._data, self._test.targets()
        values = metrics_of(data.kind, labels, answers, groups=data.label_groups)
        found = intervals(data, labels, answers, seed=self._settings.seed)
        return {name: {"value": value, "interval": found[name]} for name, value in values.items()}

    def _kept(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Measure and save a cell, or load it if an interrupted run had saved it."""
        return self._cells.one(Cell(name, measure))

    def _results(self, model: str, seed: int | None, measured: dict[str, Any]) -> list[Result]:
        found = self._found
        return [
            Result.from_row(
                {
                    "task": found.task.name,
                    "model": model,
                    "metric": metric,
                    "seed": seed,
                    "n_test": len(self._test),
                    "data_hash": found.sha256["test"],
                    "is_published_split": found.is_published_rows,
                    "settings": {},
                    **each,
                }
            )
            for metric, each in measured.items()
        ]


@dataclass(frozen=True)
class _FromScratch:
    """The results of a model from scratch with all seeds, at one learning rate."""

    learning_rate: float
    report: Mapping[str, Any]

    @property
    def validation(self) -> Mapping[str, float]:
        """Mean of each validation metric over seeds."""
        means = {name: each["mean"] for name, each in self.report["validation"].items()}
        return {name: math.nan if mean is None else mean for name, mean in means.items()}

    @property
    def is_collapsed(self) -> bool:
        """Whether the model of any seed collapsed."""
        return any(has_collapsed(each["validation"]) for each in self.report["seeds"])


def _of_seeds(report: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the test metrics of each seed; only the saved seed has intervals."""
    return {
        each["seed"]: {
            metric: {
                "value": value,
                "interval": report["test"][metric]["interval"]
                if each["seed"] == report["best_seed"]
                else None,
            }
            for metric, value in each["test"].items()
        }
        for each in report["seeds"]
    }


def _of_attempts(attempts: Sequence[tuple[float, dict[str, Any]]]) -> dict[str, Any]:
    """Return the metrics of the first attempt; if there are two, their settings list both.

    Parameters
    ----------
    attempts
        Learning rate and metrics of each attempt; the reported one comes first.
    """
    (_, reported), *others = attempts
    if not others:
        return reported
    return {
        metric: each
        | {
            "settings": {
                "attempts": [
                    {"learning_rate": rate, **measured[metric], "is_reported": place == 0}
                    for place, (rate, measured) in enumerate(attempts)
                ]
            }
        }
        for metric, each in reported.items()
    }
