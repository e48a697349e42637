"""Fine-tuning: adapt a model from each seed, keep the best on validation, measure it."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Shaped

from megabase.errors import InputError
from megabase.inference.predictions import PredictionTable
from megabase.io.sequence_table import LABEL
from megabase.io.tables import check_no_clash, write_table
from megabase.metrics.results import without_nan
from megabase.metrics.task_metrics import NAMES, Kind, metrics_of
from megabase.model.config import HyenaDNAConfig
from megabase.model.footprint import seconds_per_token
from megabase.model.load import Classifier, load, load_classifier, save
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.prompted import check_length
from megabase.model.reading import weights_sha256
from megabase.runtime.cells import Cell, Cells, Runner, load_json, save_json
from megabase.runtime.environment import machine, versions
from megabase.runtime.interruption import interruptible
from megabase.runtime.log import Meter, progress
from megabase.training.adaptation import ADAPTER, LowRank, moving
from megabase.training.checkpoint import Checkpoints
from megabase.training.finetune_trainer import is_better
from megabase.training.fit import (
    Adapted,
    Combination,
    best_of,
    class_weights,
    classifier_config,
    combinations,
    fit_model,
    starting_model,
)
from megabase.training.labelled import LabelledData, hashes, read_labelled
from megabase.training.memory_plan import check_prediction, rows_per_pass
from megabase.training.outcome import (
    calibration,
    draw,
    intervals,
    log_adapted,
    majority_metrics,
    over_seeds,
)
from megabase.training.run_config import DEFAULT_PRESET, AdaptConfig, FinetuneConfig
from megabase.training.training_check import check_finetune

_log = logging.getLogger(__name__)

METRICS, PREDICTIONS = "metrics.json", "predictions.csv"
_SEEDS, _SEED_RECORD, _ANSWERS = "seeds", "seed.json", "answers.npy"


def adapt(
    config: AdaptConfig,
    data: LabelledData,
    language: HyenaDNAForCausalLM | None,
    output: Path,
    *,
    command: str,
    inputs: Mapping[str, str],
    is_fresh: bool = False,
    overwrite: bool = False,
) -> None:
    """Adapt a model to labelled sequences from several seeds, and save the best.

    The output folder becomes a Hugging Face model folder with the model, including its head, of
    the seed that is best on validation. It also receives:

    - `metrics.json`: the epochs, validation and test of each seed, mean and standard deviation
      over seeds, bootstrap intervals of the saved model's test metrics, its calibration, the
      configuration and the hashes of the inputs;
    - `predictions.csv`, if there is a test split: its rows with the saved model's predictions;
    - `test.png`, or `validation.png` without a test split, if matplotlib is installed: a figure
      of the predictions.

    An interrupted run resumes at the seed and the step that it had reached.

    Parameters
    ----------
    config
        The configuration of the run.
    data
        The training, validation and test splits.
    language
        The model to start from, loaded from `config.model`; None: train from scratch.
    output
        The output folder.
    command
        Name of the calling command. It is part of the request that identifies a finished folder.
    inputs
        The hash of each input, by its role.
    is_fresh
        Whether only the size of `language` is used, and every weight is initialised at random.
    overwrite
        Whether existing output may be replaced.

    Raises
    ------
    InputError
        If `check` rejects the run, or the output folder cannot be used.
    WorkError
        If the loss becomes NaN or infinite.
    """
    hashed = dict(inputs) | ({} if language is None else {"model": weights_sha256(language)})
    request = {
        "command": command,
        "config": config.request(),
        "inputs": hashed,
    } | ({"is_fresh": True} if is_fresh else {})
    runner = Runner(output, request, report=METRICS, work=_SEEDS, overwrite=overwrite)
    if runner.is_finished:
        return
    check(config, data, language)
    run = _AdaptationRun(config, data, language, runner.work, is_fresh)
    grid = combinations(config)
    with runner.running():
        run, swept = run.swept(grid)
        best, report = run.all_seeds()
        metrics = run.metrics(best, report | swept, hashed)
        results = {"weights_sha256": weights_sha256(best), "best_seed": report["best_seed"]}
        with runner.finishing(metrics, folders=[ADAPTER], **results) as folder:
            save(best, folder)
            run.write(folder, best, report["best_seed"])
    figures = (METRICS, PREDICTIONS, f"{data.held_out_name}.png")
    log_adapted(report, data, output, figures)


def check(config: AdaptConfig, data: LabelledData, language: HyenaDNAForCausalLM | None) -> None:
    """Validate a run, or every combination of its sweep, before any work.

    Parameters
    ----------
    config
        The configuration of the run.
    data
        The training, validation and test splits.
    language
        The model to start from; None: train from scratch.

    Raises
    ------
    InputError
        If a row does not fit in memory, the longest sequence and the prompt exceed the context,
        `select` is not a metric of this kind of labels, a value is invalid for its key, class
        weights are requested without classes, pooling is requested for labels of bases, or a
        column of predictions already exists in the test table.
    """
    for each in (config, *(combination.config for combination in combinations(config))):
        shape = classifier_config(each, data, language)
        _check_columns(shape, data)
        _check_select(each.select, data.kind)
        class_weights(each, data)
        if data.labels.per_base and each.pooling != "mean":
            raise InputError(
                "pooling is only for labels of whole rows; leave it out for labels of bases"
            )
        longest = max(int(part.lengths().max()) for part in data.parts())
        if shape.n_prompt_tokens:
            check_length(shape, longest)
        rows_per_pass(each, shape, data.longest)
        if longest > data.longest:
            check_prediction(each, shape, longest)


@dataclass(frozen=True)
class _AdaptationRun:
    """A run: its configuration, data and starting model, and the folder of its seeds."""

    config: AdaptConfig
    data: LabelledData
    language: HyenaDNAForCausalLM | None
    folder: Path
    is_fresh: bool = False

    def start(self, seed: int) -> tuple[Classifier, LowRank | None]:
        """Return the model that a seed starts from, and its low-rank adapters, if any."""
        return starting_model(
            self.config, self.data, self.language, seed=seed, is_fresh=self.is_fresh
        )

    def of_seed(self, seed: int) -> Path:
        """Return the folder of the results of one seed."""
        return self.folder / str(seed)

    def tell(self) -> None:
        """Log what will be done and how long it will take."""
        config, data = self.config, self.data
        model, _ = self.start(config.seed)
        n_all = sum(parameter.numel() for parameter in model.parameters())
        n_moving = sum(tensor.numel() for tensor in moving(model).values())
        start = config.model or f"preset {config.preset or DEFAULT_PRESET}, from scratch"
        start += ", re-initialised" if self.is_fresh else ""
        _log.info("%s: %s of %s parameters are trained", start, f"{n_moving:,}", f"{n_all:,}")
        if (weights := class_weights(config, data)) is not None:
            shown = ", ".join(f"{weight:.3g}" for weight in weights)
            _log.info("weights of the classes in the loss: %s", shown)
        minutes = self.minutes() * config.n_seeds
        _log.info("about %.1f minutes for all epochs of all seeds", minutes)
        units = {"regression": "squared standard deviations of the training values"}
        _log.info("losses are in %s", units.get(data.kind, "nats of cross-entropy"))

    def minutes(self) -> float:
        """Estimate the time of all epochs of one seed, in minutes."""
        config = self.config
        model, _ = self.start(config.seed)
        tokens = int(self.data.training.lengths().sum()) * config.epochs
        at_once, _ = rows_per_pass(config, model.config, self.data.longest)
        each = seconds_per_token(model, self.data.longest, at_once=at_once, training=True)
        return tokens * each / 60

    def swept(self, grid: list[Combination]) -> tuple["_AdaptationRun", dict[str, Any]]:
        """Return the run with the values that are best on validation, and a report of the sweep.

        The combinations do not see the test split; one that is already finished is not repeated.
        """
        if not grid:
            return self, {}
        data = replace(self.data, test=None, test_rows=[])
        runs = {
            each.name: replace(
                self, config=each.config, data=data, folder=self.folder / each.name / _SEEDS
            )
            for each in grid
        }
        _log.info(
            "about %.1f minutes for the %s combinations of the sweep",
            sum(run.minutes() for run in runs.values()), len(grid),
        )  # fmt: skip
        n_epochs = sum(each.config.epochs for each in grid)
        with progress(n_epochs, "sweeping", "epochs") as meter:
            config, report = best_of(
                grid, lambda each: runs[each.name].seed(each.config.seed, meter)
            )
        return replace(self, config=config), {"sweep": report}

    def all_seeds(self) -> tuple[Classifier, dict[str, Any]]:
        """Train every seed; return the model that is best on validation, and a report."""
        self.tell()
        config = self.config
        with progress(config.n_seeds * config.epochs, "fine-tuning", "epochs") as meter:
            seeds = [self.seed(config.seed + number, meter) for number in range(config.n_seeds)]
        report = self.report(seeds)
        return load_classifier(str(self.of_seed(report["best_seed"]))), report

    def seed(self, seed: int, meter: Meter) -> dict[str, Any]:
        """Return the record of one seed; train it unless it is already finished."""
        cells = Cells(self.folder, partial(self._save, seed), _record, is_folder=True)
        train = partial(self._train, seed, meter)
        return cells.one(Cell(str(seed), train, self.config.epochs, f"seed {seed}"), meter)

    def _train(self, seed: int, meter: Meter) -> Adapted:
        """Adapt the model from one seed."""
        return fit_model(
            self.config, self.data, self.language, seed=seed, meter=meter, is_fresh=self.is_fresh,
            checkpoints=Checkpoints(self.folder / f"{seed}.checkpoints"),
        )  # fmt: skip

    def _save(self, seed: int, adapted: Adapted, folder: Path) -> None:
        """Save the model of one seed, its predictions of the held-out rows, and its record."""
        model, adapters, trainer = adapted
        data = self.data
        if adapters is not None:
            adapters.save(folder / ADAPTER)
            adapters.merge()
        save(model, folder)
        record: dict[str, Any] = {"seed": seed, **trainer.record()}
        answers = trainer.answers(data.held_out)
        np.save(folder / _ANSWERS, answers)
        if data.test is not None:
            record["test"] = metrics_of(
                data.kind, data.test.targets(), data.test.counted(answers), groups=data.label_groups
            )
        save_json(record, folder / _SEED_RECORD)

    def report(self, seeds: list[dict[str, Any]]) -> dict[str, Any]:
        """Combine the records of the seeds; the best seed is the best on validation."""
        best = seeds[0]
        for each in seeds[1:]:
            if is_better(self.config.select, each["validation"], best["validation"]):
                best = each
        report: dict[str, Any] = {
            "best_seed": best["seed"],
            "validation": over_seeds([each["validation"] for each in seeds]),
        }
        if self.data.test is not None:
            report["test"] = over_seeds([each["test"] for each in seeds])
            found = intervals(self.data, *self._held_out(best["seed"]), seed=self.config.seed)
            for name, interval in found.items():
                report["test"][name] |= {
                    "best_seed": best["test"][name],
                    "interval": None if interval is None else list(interval),
                }
        report["majority"] = majority_metrics(self.data)
        calibrated = calibration(self.data.kind, *self._held_out(best["seed"]))
        if calibrated is not None:
            report["calibration"] = {"of": self.data.held_out_name, **calibrated}
        return {**report, "seeds": seeds}

    def _held_out(
        self, seed: int
    ) -> tuple[Shaped[np.ndarray, "row ..."], Shaped[np.ndarray, "row ..."]]:
        """Return labels and predictions of the held-out split, by row or by labelled base."""
        held_out = self.data.held_out
        return held_out.targets(), held_out.counted(self._answers(seed))

    def _answers(self, seed: int) -> Shaped[np.ndarray, "row ..."]:
        """Read the predictions of a seed's model for the held-out rows."""
        return np.load(self.of_seed(seed) / _ANSWERS)

    def metrics(
        self, model: Classifier, report: Mapping[str, Any], inputs: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the content of `metrics.json`: the report, and what it is about."""
        data = self.data
        n_all = sum(parameter.numel() for parameter in model.parameters())
        start, _ = self.start(report["best_seed"])
        found = {
            "kind": data.kind,
            "classes": list(data.labels.classes),
            "n_rows": {
                "training": len(data.training),
                "validation": len(data.validation),
                "test": len(data.test or ()),
            },
            "n_parameters": {
                "all": n_all,
                "moving": sum(tensor.numel() for tensor in moving(start).values()),
            },
            **report,
            "config": self.config.model_dump(mode="json"),
            "sha256": dict(inputs),
            "versions": versions(),
            "machine": machine(),
        }
        return cast("dict[str, Any]", without_nan(found))

    def write(self, folder: Path, model: Classifier, seed: int) -> None:
        """Write a figure, adapters, and the test rows with the predictions of a seed's model."""
        data, of_seed = self.data, self.of_seed(seed)
        if (of_seed / ADAPTER).is_dir():
            shutil.copytree(of_seed / ADAPTER, folder / ADAPTER)
        name = data.held_out_name
        draw(
            data.kind, *self._held_out(seed), data.labels.classes or (LABEL,),
            folder / f"{name}.png", title=f"{name}: {len(data.held_out):,} rows",
        )  # fmt: skip
        if data.test is None:
            return
        table, answers = _table(model.config, data), self._answers(seed)
        parted = np.split(answers.reshape(len(answers), -1), data.test.ends()[:-1])
        places = data.test_places or [None] * len(data.test)
        rows = (
            line
            for number, (row, place, answer) in enumerate(
                zip(data.test_rows, places, parted, strict=True), start=1
            )
            for line in table.lines(number, row, place, answer if table.per_base else answer[0])
        )
        with (folder / PREDICTIONS).open("w", encoding="utf-8") as file:
            write_table(file, table.columns(list(data.test_rows[0])), rows, delimiter=",")


def _record(of_seed: Path) -> dict[str, Any]:
    """Read the record of a seed from its folder."""
    return dict(load_json(of_seed / _SEED_RECORD))


def _table(shape: HyenaDNAConfig, data: LabelledData) -> PredictionTable:
    """Return the table that adds predictions to the rows of the test."""
    return PredictionTable(shape, data.labels.per_base, data.test_places is not None)


def _check_columns(shape: HyenaDNAConfig, data: LabelledData) -> None:
    """Raise an InputError if a column of predictions already exists in the test table."""
    if data.test_rows:
        check_no_clash(list(data.test_rows[0]), _table(shape, data).added(), data.test_name)


def _check_select(select: str, kind: Kind) -> None:
    """Raise an InputError if `select` is not a metric of this kind of labels."""
    known = ("loss", *NAMES[kind])
    if select not in known:
        raise InputError(
            f"select must be one of {', '.join(known)} for these labels; got {select!r}"
        )


def finetune(config: FinetuneConfig, output: Path, *, overwrite: bool = False) -> None:
    """Fine-tune a model on labelled tables from several seeds, and save the best.

    `adapt` describes what the output folder contains.

    Parameters
    ----------
    config
        The configuration of the run.
    output
        The output folder.
    overwrite
        Whether existing output may be replaced.

    Raises
    ------
    InputError
        If a table, the model or the output cannot be used, or the memory is too small.
    WorkError
        If the loss becomes NaN or infinite.
    Interrupted
        On SIGTERM or SIGINT, after the current step is saved.
    """
    check_finetune(config, output)
    with interruptible(output):
        inputs = hashes(config)
        language = None if config.model is None else load(config.model).model
        limit = config.context_length if language is None else language.config.context_length
        data = read_labelled(config, limit)
        adapt(
            config, data, language, output, command="finetune", inputs=inputs, overwrite=overwrite
        )
