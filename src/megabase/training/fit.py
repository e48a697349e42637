"""fit(model, data): one seed's training, from the starting model to the best on validation."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from megabase.data.labelled_dataset import StepBatches
from megabase.model.heads import SequenceModel
from megabase.model.load import Classifier
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.run.log import Meter
from megabase.training.arguments import finetune_arguments
from megabase.training.config import AdaptConfig
from megabase.training.finetune_trainer import FinetuneTrainer, StepMeter
from megabase.training.labelled import LabelledData
from megabase.training.low_rank import LowRank
from megabase.training.plan import rows_per_pass as rows_that_fit
from megabase.training.start import starting_model


def fit_model(
    config: AdaptConfig,
    data: LabelledData,
    language: HyenaDNAForCausalLM | None,
    *,
    seed: int,
    folder: Path,
    meter: Meter,
    is_fresh: bool = False,
) -> tuple[Classifier, LowRank | None, FinetuneTrainer]:
    """Make the model that a seed starts from, and `fit` it with as many rows as memory holds.

    Parameters
    ----------
    config, data, seed, folder, meter
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
    trainer = fit(model, config, data, seed=seed, folder=folder, meter=meter, rows_per_pass=at_once)
    return model, adapters, trainer


def fit(
    model: SequenceModel,
    config: AdaptConfig,
    data: LabelledData,
    *,
    seed: int,
    folder: Path,
    meter: Meter,
    rows_per_pass: int,
) -> FinetuneTrainer:
    """Train what moves of a model, until validation is no better; then load the best epoch.

    Parameters
    ----------
    model
        As it is at the start; it becomes that of the best epoch.
    config, data
        Of the run.
    seed
        Of the order of rows and of the strands they are read from.
    folder
        That the Trainer is told of; nothing is written.
    meter
        Counts epochs.
    rows_per_pass
        How many rows pass through the model at once.
    """
    steps = StepBatches(
        data.training, batch_size=config.batch_size, n_epochs=config.epochs, seed=seed,
        reverse_complement_p=config.reverse_complement_p,
    )  # fmt: skip
    trainer = FinetuneTrainer(
        model,
        finetune_arguments(config, str(folder), seed=seed, steps_per_epoch=steps.steps_per_epoch),
        config=config,
        steps=steps,
        validation=data.validation,
        kind=data.kind,
        class_weights=class_weights(config, data),
        rows_per_pass=rows_per_pass,
    )
    trainer.add_callback(StepMeter(meter, f"seed {seed}"))
    trainer.train()
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
