"""A `transformers.Trainer` that saves complete checkpoints, resumes, and stops on a signal."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import Dataset, Sampler
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from megabase.errors import WorkError
from megabase.run.interruption import deferred, raise_interrupted, stop_is_asked
from megabase.training.checkpoint import Checkpoints

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN = 300.0


class ResumableTrainer(Trainer):
    """Save checkpoints under a temporary name and rename them, so that each is complete or absent.

    Parameters
    ----------
    model
        The model to train.
    arguments
        The arguments of the Trainer.
    steps, validation
        The data sets of training and validation.
    checkpoints
        Where the state of the run is saved.

    Attributes
    ----------
    is_stopping
        Whether the training stops after this step because of a signal.
    """

    def __init__(
        self,
        model: nn.Module,
        arguments: TrainingArguments,
        *,
        steps: Dataset[Any],
        validation: object,
        checkpoints: Checkpoints,
    ) -> None:
        super().__init__(
            model=model, args=arguments, train_dataset=steps, eval_dataset=cast("Any", validation)
        )
        self.remove_callback(PrinterCallback)
        self.add_callback(_StopCallback(self))
        self.is_stopping = False
        self._checkpoints = checkpoints

    def go_on(self) -> None:
        """Train, from the newest checkpoint if there is one.

        Raises
        ------
        Interrupted
            If a signal arrived; the last step is saved first.
        """
        newest = self._checkpoints.newest()
        with deferred():
            self.train(resume_from_checkpoint=newest and str(newest))
        if self.is_stopping:
            raise_interrupted()

    def is_asked_to_stop(self) -> bool:
        """Return whether training must stop after this step; all processes must agree."""
        return stop_is_asked()

    def save_own(self, folder: Path) -> None:
        """Write the state into a checkpoint that the Trainer itself does not save."""
        raise NotImplementedError

    def check_weights(self) -> None:
        """Raise a WorkError if the weights must not be saved."""

    def _get_output_dir(self, trial: object) -> str:
        return str(self._checkpoints.part)

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        step = self.state.global_step
        self.check_weights()
        if self.args.should_save:
            self._checkpoints.remove_part()
        self.accelerator.wait_for_everyone()
        try:
            super()._save_checkpoint(model, None)
            if self.args.should_save:
                self.save_own(self._checkpoints.being_written(step))
        except (OSError, RuntimeError) as error:
            self._checkpoints.remove_part()
            raise WorkError(
                f"the checkpoint of step {step} could not be saved ({str(error).splitlines()[0]}); "
                f"the last good checkpoint is {self._checkpoints.newest() or 'none'}; repeat the "
                "command to resume from it"
            ) from error
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self._checkpoints.commit(step)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        if self.is_fsdp_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        # Not by the Trainer: older versions request the device "cpu:0", which torch rejects.
        folder = Path(checkpoint)
        for state, file in ((self.optimizer, "optimizer.pt"), (self.lr_scheduler, "scheduler.pt")):
            saved = torch.load(folder / file, map_location="cpu", weights_only=True)
            cast("Any", state).load_state_dict(saved)


class _StopCallback(TrainerCallback):
    """Save and stop after the step in which a signal arrived; every process needs it."""

    def __init__(self, trainer: ResumableTrainer) -> None:
        self._trainer = trainer

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Check for a signal after a step."""
        self._look(state, control)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Check for a signal that arrived during validation."""
        self._look(state, control)

    def _look(self, state: TrainerState, control: TrainerControl) -> None:
        if self._trainer.is_stopping or not self._trainer.is_asked_to_stop():
            return
        _log.info("stopping on a signal: saving step %s", f"{state.global_step:,}")
        self._trainer.is_stopping = True
        control.should_save = control.should_training_stop = True


class EpochCheckpoints(TrainerCallback):
    """Save a checkpoint after the validation of each epoch, and within epochs.

    Parameters
    ----------
    every
        Steps between two checkpoints; None: five minutes.
    """

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._saved = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Request a checkpoint if one is due."""
        if self._every is not None:
            is_due = state.global_step % self._every == 0
        else:
            is_due = time.monotonic() - self._saved >= _SECONDS_BETWEEN
        control.should_save = control.should_save or is_due

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Request a checkpoint after each epoch."""
        control.should_save = True

    def on_save(self, *_: Any, **__: Any) -> None:
        """Restart the clock."""
        self._saved = time.monotonic()


class StepsFromNow(Sampler[int]):
    """The steps in order, from the Trainer's current step at the time of the first draw."""

    def __init__(self, trainer: Trainer, n_steps: int) -> None:
        self._trainer = trainer
        self._n_steps = n_steps

    def __len__(self) -> int:
        return self._n_steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._trainer.state.global_step, self._n_steps))
