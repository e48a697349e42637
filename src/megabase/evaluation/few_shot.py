"""How well a language model tells classes from demonstrations in its input, and after tuning."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from megabase.data.demonstrations import DemonstrationPool
from megabase.errors import InputError
from megabase.evaluation.task_rows import encoded_rows
from megabase.evaluation.tasks.catalogue import find_tasks
from megabase.evaluation.tasks.task import Task
from megabase.evaluation.tasks.task_data import TaskData, read_task_data
from megabase.evaluation.tasks.task_files import TaskExamples, digest
from megabase.genome.few_shot_prompt import Shot, answer_letters, check_fits, prompt_length
from megabase.inference.few_shot_answers import few_shot_probabilities, why_not_shared
from megabase.inference.predictor import Predictor
from megabase.metrics.kmers import constant_predictions
from megabase.metrics.results import Result
from megabase.metrics.task_metrics import Kind, intervals_of, metrics_of
from megabase.report.pages import results_table
from megabase.runtime.cells import Cell, Runner, json_cells
from megabase.runtime.log import Meter, progress
from megabase.training.few_shot_tuning import (
    BATCH_SIZE,
    LEARNING_RATE,
    TuningSample,
    draw_samples,
    tune_few_shot,
)

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
        The `task_files.digest` of the queries.
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
        some = TaskExamples(
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


RESULTS, TABLE = "few_shot.json", "few_shot.md"
_PARTS = "parts"


def evaluate_few_shot(
    tasks: Sequence[str],
    data: Path | None = None,
    *,
    model: str,
    output: Path,
    shots: Sequence[int] = (0, 2, 8),
    tune: int = 0,
    n_queries: int | None = None,
    seeds: int = 3,
    device: str = "auto",
    offline: bool = False,
    overwrite: bool = False,
) -> list[Result]:
    """Classify test rows with a language model that is shown training rows with their classes.

    Parameters
    ----------
    tasks
        Names or patterns of tasks with two to five classes (`tasks.catalogue.find_tasks`).
    data
        Folder of the task's data, or of the data of several tasks; None: download from the hub.
    model
        Model folder, hub id or asset:NAME; see `model.load`.
    output
        The folder to write: `few_shot.json` and the table `few_shot.md`. An interrupted run
        resumes after the last finished run of the model.
    shots
        Numbers of demonstrations of each class; 0 is the query alone.
    tune
        Number of training rows on which a copy of the model is tuned first, each with its own
        demonstrations, separately for each number of shots and each seed. 0: no tuning.
    n_queries
        Maximum number of test rows, the same ones for all runs; None: all.
    seeds
        Number of draws of demonstrations and tuning rows, numbered from 0. Without shots and
        tuning nothing is drawn, and there is one run.
    device
        Device to run on; ``auto`` chooses one.
    offline
        Use only data that the hub's cache already holds.
    overwrite
        Replace an existing output.

    Returns
    -------
    results
        Accuracy, MCC and AUROC with bootstrap intervals for each task, number of shots and
        seed, and for the baseline of the most frequent training class.

    Raises
    ------
    InputError
        If a task has too many classes or none, a row, option or the memory is unsuitable, or a
        prompt exceeds the model's context; all are checked before any work.
    WorkError
        If the model diverges.
    """
    _check(shots, tune, n_queries, seeds)
    chosen = find_tasks(tasks)
    for task in chosen:
        check_has_classes(task)
    asked = [
        AskedRows.of(read_task_data(task, data, offline=offline), n_queries) for task in chosen
    ]
    predictor = Predictor.load(model, device=device)
    about: dict[str, Any] = {
        "model": model, "revision": predictor.revision, "weights_sha256": predictor.weights_sha256,
        "shots": list(shots), "tuned_on": tune, "n_queries_asked": n_queries, "seeds": seeds,
        "tasks": [each.about() for each in asked],
    }  # fmt: skip
    request = {"command": "evaluate few-shot", **about}
    runner = Runner(output, request, report=RESULTS, work=_PARTS, overwrite=overwrite)
    if runner.is_finished:
        return _from_rows(runner.report()["results"])
    runs = [run for each in asked for run in _runs(each, shots, tune, seeds, predictor)]
    _tell(runs, predictor)
    with runner.running():
        results = [result for each in asked for result in each.majority()]
        results += _measured(runs, predictor, Path(model).name, runner.work)
        with runner.finishing(about | {"results": _to_rows(results)}) as folder:
            (folder / TABLE).write_text(
                results_table(results).to_markdown(), encoding="utf-8", errors="backslashreplace"
            )
    return results


def _measured(
    runs: Sequence["_FewShotRun"], predictor: Predictor, name: str, folder: Path
) -> list[Result]:
    """Return the results of all runs; those finished before an interruption are loaded."""
    with progress(sum(run.n_prompts for run in runs), "few-shot", "prompts") as meter:

        def measure(run: _FewShotRun) -> list[dict[str, Any]]:
            return _to_rows(run.measure(predictor, name, meter))

        cells = [
            Cell(str(number), partial(measure, run), run.n_prompts)
            for number, run in enumerate(runs)
        ]
        found = json_cells(folder, _from_rows).compute(cells, meter)
    return [result for results in found for result in results]


def _to_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [result.to_row() for result in results]


def _from_rows(rows: Sequence[Mapping[str, Any]]) -> list[Result]:
    return [Result.from_row(row) for row in rows]


def _check(shots: Sequence[int], tune: int, n_queries: int | None, seeds: int) -> None:
    if not shots or min(shots) < 0 or len(set(shots)) != len(shots):
        given = ", ".join(map(str, shots)) or "none"
        raise InputError(f"numbers of shots must be distinct and at least 0, got {given}")
    least = {"tune": (tune, 0), "seeds": (seeds, 1)}
    if n_queries is not None:
        least["queries"] = (n_queries, 1)
    for name, (value, lowest) in least.items():
        if value < lowest:
            raise InputError(f"{name} must be at least {lowest}, got {value}")


@dataclass(frozen=True)
class _FewShotRun:
    """One run: the demonstrations, and the samples the model is tuned on first."""

    asked: AskedRows
    n_per_class: int
    seed: int | None
    shots: list[Shot]
    samples: list[TuningSample]

    @property
    def n_prompts(self) -> int:
        return len(self.samples) + len(self.asked.queries)

    @property
    def asked_lengths(self) -> list[int]:
        """Length of the prompt of each query, in tokens."""
        return [prompt_length(self.shots, len(each.sequence)) for each in self.asked.queries]

    @property
    def tuned_lengths(self) -> list[int]:
        """Length of the prompt of each tuning sample, in tokens."""
        return [prompt_length(each.shots, len(each.query.sequence)) for each in self.samples]

    def n_tokens(self, *, is_once: bool) -> int:
        """Return the number of tokens to read, with demonstrations read once or for each query."""
        lengths = self.asked_lengths
        of_shots = prompt_length(self.shots, 0)
        return sum(lengths) - (len(lengths) - 1) * of_shots if is_once else sum(lengths)

    def measure(self, predictor: Predictor, name: str, meter: Meter) -> list[Result]:
        model, asked = predictor.model, self.asked
        if self.samples:
            model = tune_few_shot(
                model, self.samples, asked.letters, seed=self.seed or 0, advance=meter.advance
            )
        found = few_shot_probabilities(
            model,
            self.shots,
            [each.sequence for each in asked.queries],
            asked.letters,
            advance=meter.advance,
        )
        n_tuned = len(self.samples)
        tuned = f", tuned on {n_tuned:,}" if n_tuned else ""
        settings: dict[str, Any] = {
            "shots_per_class": self.n_per_class, "tuned_on": n_tuned, "letters": asked.letters,
            "predicted": np.bincount(found.argmax(1), minlength=len(asked.letters)).tolist(),
        }  # fmt: skip
        if n_tuned:
            settings |= {"learning_rate": LEARNING_RATE, "batch_size": BATCH_SIZE}
        title = f"{name}, {self.n_per_class:,} shots a class{tuned}"
        return asked.results(title, found, seed=self.seed, settings=settings)


def _runs(
    asked: AskedRows, shots: Sequence[int], tune: int, seeds: int, predictor: Predictor
) -> Iterator[_FewShotRun]:
    """Draw demonstrations and samples, and check that they fit, before any computation."""
    n_classes, longest = len(asked.letters), max(len(each.sequence) for each in asked.queries)
    for n_per_class in shots:
        has_chance = bool(n_per_class or tune)
        for seed in range(seeds if has_chance else 1):
            shown = asked.pool.draw(n_per_class, seed=(seed, 0))
            check_fits(shown, longest, predictor.context_length, n_classes=n_classes)
            samples = draw_samples(
                asked.pool, tune, n_per_class=n_per_class, n_classes=n_classes, seed=seed
            )
            for sample in samples:
                sample.check(predictor.context_length, n_classes)
            yield _FewShotRun(asked, n_per_class, seed if has_chance else None, shown, samples)


def _tell(runs: Sequence[_FewShotRun], predictor: Predictor) -> None:
    """Log the expected memory and time."""
    is_once = why_not_shared(predictor.model) is None
    plan = predictor.plan(
        longest=max(length for run in runs for length in run.asked_lengths),
        n_tokens=sum(run.n_tokens(is_once=is_once) for run in runs),
    )
    _log.info("classifying: %s", plan)
    if tuned := [length for run in runs for length in run.tuned_lengths]:
        plan = predictor.plan_gradients(longest=max(tuned), n_tokens=sum(tuned))
        _log.info("tuning: %s", plan)
