"""fit(model, data): train a model from one seed, up to the best epoch on validation."""

import logging

import numpy as np
from jaxtyping import Float64

from megabase.data.labelled_dataset import StepBatches
from megabase.model.heads import SequenceModel
from megabase.model.load import Classifier
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.run.log import Meter
from megabase.training.arguments import finetune_arguments
from megabase.training.checkpoint import Checkpoints
from megabase.training.config import AdaptConfig
from megabase.training.finetune_trainer import FinetuneTrainer, StepMeter
from megabase.training.labelled import LabelledData
from megabase.training.low_rank import LowRank
from megabase.training.plan import rows_per_pass as rows_that_fit
from megabase.training.start import starting_model

_log = logging.getLogger(__name__)


def fit_model(
    config: AdaptConfig,
    data: LabelledData,
    language: HyenaDNAForCausalLM | None,
    *,
    seed: int,
    checkpoints: Checkpoints,
    meter: Meter,
    is_fresh: bool = False,
) -> tuple[Classifier, LowRank | None, FinetuneTrainer]:
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

    Returns
    -------
    model, adapters, trainer
        The model of the best epoch; its low-rank adapters, not yet merged, or None; the trainer.

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
    return model, adapters, trainer


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
