"""fit(model, data): one seed's training, from the starting model to the best on validation."""

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
    """Make the model that a seed starts from, and `fit` it with as many rows as memory holds.

    Parameters
    ----------
    config, data, seed, checkpoints, meter
        As of `fit`.
    language, is_fresh
        As of `starting_model`.

    Returns
    -------
    model, adapters, trainer
        The model of the best epoch; adapters of low rank, if they are what moved, are not
        merged yet.

    Raises
    ------
    InputError
        If one row of the longest length does not fit the memory.
    WorkError
        If the loss becomes no number.
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
    """Train what moves of a model, until validation is no better; then load the best epoch.

    Training that was interrupted goes on from its newest checkpoint; on a CPU it ends in the
    same bits. Whoever keeps the result removes the checkpoints.

    Parameters
    ----------
    model
        As it is at the start; it becomes that of the best epoch.
    config, data
        Of the run.
    seed
        Of the order of rows and of the strands they are read from.
    checkpoints
        Where the training is saved, after each epoch and within it.
    meter
        Counts epochs.
    rows_per_pass
        How many rows pass through the model at once.
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
            "seed %s was interrupted: going on after step %s of %s, in epoch %s", seed, f"{step:,}",
            f"{len(steps):,}", len(trainer.epochs) + 1,
        )  # fmt: skip
        meter.skip(len(trainer.epochs))
    if not trainer.is_done:
        trainer.go_on()
    meter.advance(config.epochs - len(trainer.epochs))
    trainer.load_best()
    return trainer


def class_weights(config: AdaptConfig, data: LabelledData) -> Float64[np.ndarray, " class"] | None:
    """Give what each class counts in the loss; None where all rows count the same.

    Raises
    ------
    InputError
        If classes shall be balanced, and there are none.
    """
    return data.class_weights() if config.class_weights == "balanced" else None
