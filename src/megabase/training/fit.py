"""One seed of a fine-tuning: its sweep, the model it starts from, and its training."""

import copy
import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float64
from transformers import set_seed

from megabase.data.labelled_dataset import StepBatches
from megabase.data.labels import Labels
from megabase.errors import DivergedError, InputError, WorkError
from megabase.genome.few_shot_prompt import answer_letters
from megabase.io.sequence_table import LABEL
from megabase.model.classification import (
    HyenaDNAForSequenceClassification,
    HyenaDNAForTokenClassification,
)
from megabase.model.config import HyenaDNAConfig
from megabase.model.heads import ANY_LABELS, ONE_CLASS, REGRESSION, SequenceModel
from megabase.model.load import Classifier
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.model.prompted import HyenaDNAForPromptedClassification
from megabase.model.reading import weights_sha256
from megabase.runtime.config_file import changed
from megabase.runtime.log import Meter
from megabase.training.adaptation import LowRank, freeze
from megabase.training.arguments import finetune_arguments
from megabase.training.checkpoint import Checkpoints
from megabase.training.finetune_trainer import FinetuneTrainer, StepMeter, is_better
from megabase.training.labelled import LabelledData
from megabase.training.memory_plan import rows_per_pass as rows_that_fit
from megabase.training.run_config import DEFAULT_PRESET, AdaptConfig

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


def set_labels(shape: HyenaDNAConfig, labels: Labels) -> None:
    """Write names, problem type and unit of the labels into a model's configuration."""
    names = labels.classes or (LABEL,)
    shape.id2label = dict(enumerate(names))
    shape.label2id = {name: number for number, name in enumerate(names)}
    some = ANY_LABELS if labels.is_multilabel else ONE_CLASS
    shape.problem_type = REGRESSION if labels.is_regression else some
    if labels.is_regression:
        shape.target_mean, shape.target_scale = [labels.mean], [labels.scale]


def classifier_config(
    config: AdaptConfig, data: LabelledData, language: HyenaDNAForCausalLM | None
) -> HyenaDNAConfig:
    """Return the configuration of a model with its head or prompt.

    Parameters
    ----------
    config
        The configuration of the run.
    data
        The data of the run.
    language
        The model that is adapted; None: a model of the preset's size.

    Raises
    ------
    InputError
        If a soft prompt cannot predict these labels.
    """
    if language is None:
        shape = HyenaDNAConfig.from_preset(config.preset or DEFAULT_PRESET, data.context_length)
    else:
        shape = copy.deepcopy(language.config)
    set_labels(shape, data.labels)
    shape.pooling, shape.head_dropout = config.pooling, config.head_dropout
    if config.embed_dropout is not None:
        shape.embed_dropout = config.embed_dropout
    add_prompt(shape, config, data.labels)
    return shape


def add_prompt(shape: HyenaDNAConfig, config: AdaptConfig, labels: Labels) -> None:
    """Write the soft prompt into a model's configuration, if the run adapts by a prompt.

    Raises
    ------
    InputError
        If the labels are values, multilabel, of bases, or not 2 to 5 classes.
    """
    if config.adapt != "prompt":
        return
    others = {
        "values": labels.is_regression,
        "several per row": labels.is_multilabel,
        "of bases": labels.per_base,
    }
    if found := [what for what, is_so in others.items() if is_so]:
        raise InputError(
            "a model with a prompt predicts one letter for each sequence, and these labels are "
            f"{', '.join(found)}; use adapt=full, head or lora"
        )
    shape.n_prompt_tokens, shape.prompt_dropout = config.n_prompt_tokens, config.prompt_dropout
    shape.answer_letters = answer_letters(len(labels.classes))


def starting_model(
    config: AdaptConfig,
    data: LabelledData,
    language: HyenaDNAForCausalLM | None,
    *,
    seed: int,
    is_fresh: bool = False,
) -> tuple[Classifier, LowRank | None]:
    """Build the model that a seed starts from; only the parameters to train require gradients.

    Parameters
    ----------
    config
        The configuration of the run.
    data
        The data of the run.
    language
        The model that is adapted; None: a new model of the preset's size.
    seed
        Seed of all weights that are not loaded. Head and prompt depend only on the seed, not on
        whether the rest is loaded.
    is_fresh
        Whether only the size of `language` is used, and every weight is initialised at random.

    Returns
    -------
    model, adapters
        The model, and its low-rank adapters; None unless `config.adapt` is ``"lora"``.

    Raises
    ------
    InputError
        If a soft prompt cannot predict these labels.
    """
    set_seed(seed)
    shape = classifier_config(config, data, language)
    loaded = None if is_fresh else language
    if config.adapt == "prompt" and loaded is not None:
        model = HyenaDNAForPromptedClassification.from_language_model(loaded, shape)
        model.config.base_sha256 = weights_sha256(loaded)
        freeze(model, config.adapt)
        return model, None
    of_bases, of_rows = HyenaDNAForTokenClassification, HyenaDNAForSequenceClassification
    model = (of_bases if data.labels.per_base else of_rows)(shape)
    if loaded is not None:
        model.backbone.load_state_dict(loaded.backbone.state_dict())
    if config.adapt != "lora":
        freeze(model, config.adapt)
        return model, None
    adapters = LowRank(
        model, rank=config.lora_rank, alpha=config.lora_alpha, dropout=config.lora_dropout
    )
    return model, adapters


class Adapted(NamedTuple):
    """A model that was adapted from one seed.

    Attributes
    ----------
    model
        The model of the best epoch.
    adapters
        Its low-rank adapters, not yet merged; None if it has none.
    trainer
        The trainer, which has the measurements and predicts rows.
    """

    model: Classifier
    adapters: LowRank | None
    trainer: FinetuneTrainer


def fit_model(
    config: AdaptConfig,
    data: LabelledData,
    language: HyenaDNAForCausalLM | None,
    *,
    seed: int,
    checkpoints: Checkpoints,
    meter: Meter,
    is_fresh: bool = False,
) -> Adapted:
    """Build the model that a seed starts from, and `fit` it with as many rows as memory allows.

    Parameters
    ----------
    config
        The configuration of the run.
    data
        The training and validation splits.
    language
        The model to start from; None: train from scratch.
    seed
        Seed of the initial weights, the order of rows and the strands they are read from.
    checkpoints
        Where the state of the training is saved after each epoch and within it.
    meter
        Counts epochs.
    is_fresh
        Whether only the size of `language` is used, and every weight is initialised at random.

    Raises
    ------
    InputError
        If one row of the longest length does not fit in memory.
    WorkError
        If the loss becomes NaN or infinite.
    """
    model, adapters = starting_model(config, data, language, seed=seed, is_fresh=is_fresh)
    at_once, checkpointing = rows_that_fit(config, model.config, data.longest)
    model.backbone.gradient_checkpointing = checkpointing
    trainer = fit(
        model, config, data, seed=seed, checkpoints=checkpoints, meter=meter, rows_per_pass=at_once
    )
    return Adapted(model, adapters, trainer)


def fit(
    model: SequenceModel,
    config: AdaptConfig,
    data: LabelledData,
    *,
    seed: int,
    checkpoints: Checkpoints,
    meter: Meter,
    rows_per_pass: int,
) -> FinetuneTrainer:
    """Train a model until validation stops improving, then load the weights of the best epoch.

    An interrupted training resumes from its newest checkpoint; on a CPU the result is identical
    to the bit. The caller removes the checkpoints once the result is saved.

    Parameters
    ----------
    model
        The initial model, modified in place; only parameters with `requires_grad` are trained.
    config
        The configuration of the run.
    data
        The training and validation splits.
    seed
        Seed of the order of rows and of the strands they are read from.
    checkpoints
        Where the state of the training is saved after each epoch and within it.
    meter
        Counts epochs.
    rows_per_pass
        Number of rows per forward pass; a step accumulates the gradients of its passes.

    Raises
    ------
    WorkError
        If the loss becomes NaN or infinite.
    """
    checkpoints.remove_part()
    steps = StepBatches(
        data.training, batch_size=config.batch_size, n_epochs=config.epochs, seed=seed,
        reverse_complement_p=config.reverse_complement_p,
    )  # fmt: skip
    trainer = FinetuneTrainer(
        model,
        finetune_arguments(
            config, str(checkpoints.part), seed=seed, steps_per_epoch=steps.steps_per_epoch
        ),
        config=config,
        steps=steps,
        validation=data.validation,
        kind=data.kind,
        class_weights=class_weights(config, data),
        rows_per_pass=rows_per_pass,
        checkpoints=checkpoints,
    )
    trainer.add_callback(StepMeter(meter, f"seed {seed}"))
    if step := trainer.restore():
        _log.info(
            "seed %s was interrupted: resuming after step %s of %s, in epoch %s", seed, f"{step:,}",
            f"{len(steps):,}", len(trainer.epochs) + 1,
        )  # fmt: skip
        meter.skip(len(trainer.epochs))
    if not trainer.is_done:
        trainer.go_on()
    meter.advance(config.epochs - len(trainer.epochs))
    trainer.load_best()
    return trainer


def class_weights(config: AdaptConfig, data: LabelledData) -> Float64[np.ndarray, " class"] | None:
    """Return the weight of each class in the loss; None if all rows have the same weight.

    Raises
    ------
    InputError
        If balanced weights are requested and the labels are not classes.
    """
    return data.class_weights() if config.class_weights == "balanced" else None
