"""Evaluate in-context classification by a language model, with or without tuning."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from megabase.errors import InputError
from megabase.evaluation.asked_rows import AskedRows, check_has_classes
from megabase.evaluation.task_data import read_task_data
from megabase.evaluation.tasks.catalogue import find_tasks
from megabase.genome.few_shot import Shot, check_fits, prompt_length
from megabase.inference.few_shot import few_shot_probabilities, why_not_once
from megabase.inference.predictor import Predictor
from megabase.measure.result import Result
from megabase.report.table import results_table
from megabase.run.interruption import interruptible
from megabase.run.log import Meter, progress
from megabase.run.output import Output, only_writer, whole_file, whole_files
from megabase.training.few_shot import (
    BATCH_SIZE,
    LEARNING_RATE,
    TuningSample,
    draw_samples,
    tune_few_shot,
)

_log = logging.getLogger(__name__)

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
    place = Output(
        output, {"command": "evaluate few-shot", **about}, is_folder=True, overwrite=overwrite
    )
    if place.is_finished:
        return list(
            map(
                Result.from_row,
                json.loads((output / RESULTS).read_text(encoding="utf-8"))["results"],
            )
        )
    runs = [run for each in asked for run in _runs(each, shots, tune, seeds, predictor)]
    _tell(runs, predictor)
    with only_writer(output), interruptible(output):
        if place.unfinished is None:
            shutil.rmtree(output / _PARTS, ignore_errors=True)
        place.start()
        results = [result for each in asked for result in each.majority()]
        results += _measured(runs, predictor, Path(model).name, output / _PARTS)
        with whole_files(output) as folder:
            rows = [result.to_row() for result in results]
            (folder / RESULTS).write_text(
                json.dumps(about | {"results": rows}, indent=2) + "\n", encoding="utf-8"
            )
            (folder / TABLE).write_text(
                results_table(results).to_markdown(), encoding="utf-8", errors="backslashreplace"
            )
        place.finish()
        shutil.rmtree(output / _PARTS, ignore_errors=True)
    return results


def _measured(
    runs: Sequence["_Run"], predictor: Predictor, name: str, folder: Path
) -> list[Result]:
    """Return the results of all runs; those finished before an interruption are loaded."""
    paths = [folder / f"{number}.json" for number in range(len(runs))]
    if n_done := sum(path.is_file() for path in paths):
        _log.info("resuming an interrupted run: %d of %d parts are done", n_done, len(runs))
    with progress(sum(run.n_prompts for run in runs), "few-shot", "prompts") as meter:
        for run, path in zip(runs, paths, strict=True):
            if path.is_file():
                meter.skip(run.n_prompts)
                continue
            rows = [result.to_row() for result in run.measure(predictor, name, meter)]
            with whole_file(path) as file:
                json.dump(rows, file)
    return [
        Result.from_row(row)
        for path in paths
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


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
class _Run:
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
) -> Iterator[_Run]:
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
            yield _Run(asked, n_per_class, seed if has_chance else None, shown, samples)


def _tell(runs: Sequence[_Run], predictor: Predictor) -> None:
    """Log the expected memory and time."""
    is_once = why_not_once(predictor.model) is None
    plan = predictor.plan(
        longest=max(length for run in runs for length in run.asked_lengths),
        n_tokens=sum(run.n_tokens(is_once=is_once) for run in runs),
    )
    _log.info("classifying: %s", plan)
    if tuned := [length for run in runs for length in run.tuned_lengths]:
        plan = predictor.plan_gradients(longest=max(tuned), n_tokens=sum(tuned))
        _log.info("tuning: %s", plan)
