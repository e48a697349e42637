"""How well a language model tells classes from demonstrations in its input, and after tuning."""

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
    """Ask a language model for the class of test rows, after training rows with their classes.

    Parameters
    ----------
    tasks
        Names or patterns of tasks with two to five classes (`tasks.catalogue.find_tasks`).
    data
        As of `read_task_data`.
    model
        What `model.load` takes.
    output
        The folder: `few_shot.json` and the table `few_shot.md`. Work that was interrupted goes on
        after the last figure that was done.
    shots
        Demonstrations of each class; 0 is the question alone.
    tune
        Training rows that a copy of the model is tuned on first, each with demonstrations of
        its own; anew for each number of shots and each seed. 0: the model as it is.
    n_queries
        The most test rows that are asked, drawn the same for all; None: all of them.
    seeds
        How many draws of demonstrations and samples, numbered from 0. Where nothing is drawn,
        without shots and tuning, there is one figure.
    device, offline, overwrite
        Where to run; whether the hub is read from what was fetched before only; whether an
        output that is there may be replaced.

    Returns
    -------
    results
        Accuracy, MCC and AUROC with bootstrap intervals of each task, number of shots and
        seed; beside them those of the most frequent class of training.

    Raises
    ------
    InputError
        If a task has no classes or too many, a row, an option or the memory cannot be used,
        or a prompt exceeds the model's context: all before any work.
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
    """Measure each figure, unless it was done before the work was interrupted."""
    paths = [folder / f"{number}.json" for number in range(len(runs))]
    if n_done := sum(path.is_file() for path in paths):
        _log.info("it was interrupted: %d of %d figures are done already", n_done, len(runs))
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
        raise InputError(f"numbers of shots are different and 0 or more, got {given}")
    least = {"tune": (tune, 0), "seeds": (seeds, 1)}
    if n_queries is not None:
        least["queries"] = (n_queries, 1)
    for name, (value, lowest) in least.items():
        if value < lowest:
            raise InputError(f"{name} is at least {lowest}, got {value}")


@dataclass(frozen=True)
class _Run:
    """One figure: demonstrations, and what the model is tuned on before."""

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
        """Tokens of each prompt that is asked."""
        return [prompt_length(self.shots, len(each.sequence)) for each in self.asked.queries]

    @property
    def tuned_lengths(self) -> list[int]:
        """Tokens of each prompt that the model is tuned on."""
        return [prompt_length(each.shots, len(each.query.sequence)) for each in self.samples]

    def n_tokens(self, *, is_once: bool) -> int:
        """Count what is read to answer, of demonstrations that are read once or each time."""
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
    """Draw all that is shown, and check that it fits, before anything is computed."""
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
    """Say what memory and time all of it will take."""
    is_once = why_not_once(predictor.model) is None
    plan = predictor.plan(
        longest=max(length for run in runs for length in run.asked_lengths),
        n_tokens=sum(run.n_tokens(is_once=is_once) for run in runs),
    )
    _log.info("asking: %s", plan)
    if tuned := [length for run in runs for length in run.tuned_lengths]:
        plan = predictor.plan_gradients(longest=max(tuned), n_tokens=sum(tuned))
        _log.info("tuning: %s", plan)
