"""The Trainer of a language model, and what every Trainer here shares: exact resume."""

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import IntervalStrategy

from megabase.data.token_store import StoredWindow
from megabase.data.training_windows import Batch, StepWindows, as_batch
from megabase.errors import WorkError
from megabase.model.language import target_weights
from megabase.model.load import save
from megabase.model.modeling import HyenaDNAForCausalLM
from megabase.runtime.interruption import (
    deferred,
    ignore_signals,
    raise_interrupted,
    stop_requested,
)
from megabase.training.arguments import decayed_parameters
from megabase.training.checkpoint import Checkpoints, LastStepCallback

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
        return stop_requested()

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


_UNLOGGED = "unlogged.json"  # a file of a checkpoint


class PretrainTrainer(ResumableTrainer):
    """Train so that the result does not depend on passes, processes or interruptions.

    Every random draw of a step is a function of seed, step and process. The loss of a step is
    the mean over all targets of all processes, however they are divided into passes.

    Parameters
    ----------
    model
        The model to train.
    arguments
        The result of `training_arguments`.
    steps
        The windows of each step that this process reads.
    validation
        Windows of each genome on which the validation loss is measured.
    windows_per_pass
        Number of windows per forward pass, by their length in tokens.
    own_loss_weight
        For a model with a memory, as in `HyenaDNAForCausalLM.forward`.
    checkpoints
        Where the state of the run is saved.
    """

    def __init__(
        self,
        model: HyenaDNAForCausalLM,
        arguments: TrainingArguments,
        *,
        steps: StepWindows,
        validation: Mapping[str, Sequence[StoredWindow]],
        windows_per_pass: Mapping[int, int],
        own_loss_weight: float,
        checkpoints: Checkpoints,
    ) -> None:
        if not validation:
            arguments.eval_strategy = IntervalStrategy.NO
        super().__init__(
            model, arguments, steps=steps, validation=validation, checkpoints=checkpoints
        )
        self.add_callback(LastStepCallback)
        self._steps = steps
        self.validation = validation
        self._windows_per_pass = windows_per_pass
        self._own_loss_weight = own_loss_weight
        self._is_asked_to_stop = False
        self._unlogged: list[float] = []  # losses of the steps since the last line of metrics

    # -- what is read ---------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of this process's batches, from the current step on."""
        return DataLoader(
            self._steps,
            batch_size=None,
            sampler=StepsFromNow(self, len(self._steps)),
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            worker_init_fn=ignore_signals,
        )

    # -- what is learned ------------------------------------------------------------------

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Accumulate the gradient of a step; processes exchange gradients in its last pass."""
        model.train()
        place = (self.args.seed, self.state.global_step, self.args.process_index)
        torch.manual_seed(seed_of_step(*place))
        batch = cast("Batch", self._prepare_inputs(inputs))
        n_targets = self._sum(target_weights(batch["labels"], batch.get("loss_weights")).sum())
        n_processes = self.accelerator.num_processes
        passes = list(self._passes(batch))
        total = torch.zeros((), device=self.args.device)
        for number, part in enumerate(passes, start=1):
            with nullcontext() if number == len(passes) else self.accelerator.no_sync(model):
                loss = self._loss(model, part, n_targets.clamp(min=1e-9))
                # Gradients are averaged over processes, but the loss is a sum over them.
                self.accelerator.backward(loss * n_processes)
            total += loss.detach()
        # Processes may receive a signal in different steps, so it is summed along with the loss:
        # all processes then stop after the same step.
        asked = torch.full_like(total, float(stop_requested()))
        mean, n_asked = self._sum(torch.stack([total, asked])).unbind()
        self._is_asked_to_stop = bool(n_asked)
        if not math.isfinite(mean):
            raise WorkError(self._diverged(batch))
        self._unlogged.append(float(mean))
        return mean

    def is_asked_to_stop(self) -> bool:
        """Return whether any process had received a signal by the end of the last step."""
        return self._is_asked_to_stop

    def _passes(self, batch: Batch) -> Iterator[Batch]:
        n_windows, length = batch["input_ids"].shape
        size = self._windows_per_pass[length]
        for start in range(0, n_windows, size):
            yield {key: tensor[start : start + size] for key, tensor in batch.items()}

    def _loss(self, model: nn.Module, batch: Batch, n_targets: Tensor) -> Tensor:
        """Return the summed loss of a batch, divided by `n_targets`."""
        return model(
            **batch, num_items_in_batch=n_targets, skip_logits=True,
            own_loss_weight=self._own_loss_weight,
        ).loss  # fmt: skip

    @property
    def _prepared(self) -> nn.Module:
        """The model as wrapped for training: in autocast, and for several processes."""
        return cast("nn.Module", self.model_wrapped)

    def _sum(self, value: Tensor) -> Tensor:
        """Return the sum of a value over processes."""
        return cast("Tensor", self.accelerator.reduce(value, reduction="sum"))

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return the names of the parameters with weight decay."""
        return decayed_parameters(model)

    def _diverged(self, batch: Batch) -> str:
        """Describe at which step and window the loss is NaN or infinite, and the remedy."""
        step = self.state.global_step
        windows = self._steps.windows(step)
        bad = [
            str(window)
            for row, window in enumerate(windows)
            if not self.is_fsdp_enabled and not math.isfinite(self._loss_of(batch, row))
        ]
        place = bad[0] if bad else f"one of {len(windows)} windows from {windows[0]} on"
        last = self._checkpoints.newest()
        return (
            f"the loss at step {step + 1} is NaN or infinite, at {place}; the last good checkpoint "
            f"is {last or 'none (no checkpoint was saved yet)'}; lower learning_rate or clip_norm "
            "and restart in another folder or with --overwrite"
        )

    @torch.no_grad()
    def _loss_of(self, batch: Batch, row: int) -> float:
        one = {key: tensor[row : row + 1] for key, tensor in batch.items()}
        return float(self._loss(self._prepared, one, torch.ones((), device=self.args.device)))

    # -- what is measured -----------------------------------------------------------------

    @torch.no_grad()
    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Log the mean loss in nats over all validation windows and over those of each genome."""
        self._prepared.eval()
        sums = {genome: self._validate(windows) for genome, windows in self.validation.items()}
        total = torch.stack(list(sums.values())).sum(dim=0)
        metrics = {f"{metric_key_prefix}_loss": float(total[0] / total[1])}
        if len(sums) > 1:
            metrics |= {
                f"{metric_key_prefix}_loss_{genome}": float(loss / n)
                for genome, (loss, n) in sums.items()
            }
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _validate(self, windows: Sequence[StoredWindow]) -> Tensor:
        """Return the summed loss and number of targets of windows, divided among processes."""
        sums = torch.zeros(2, dtype=torch.float64)
        one = torch.ones((), device=self.args.device)
        share = self._steps.share
        mine = share.of(windows)
        size = self._windows_per_pass[len(windows[0].interval)]
        # Every process runs the same number of passes, because with FSDP all take part in each.
        for start in range(0, share.largest(len(windows)), size):
            part = mine[start : start + size]
            batch = as_batch(part or windows[:1])
            batch = cast("Batch", self._prepare_inputs(cast("dict[str, Any]", batch)))
            loss = self._loss(self._prepared, batch, one)
            if part:
                sums += torch.stack([loss, target_weights(batch["labels"], None).sum()]).cpu()
        return self._sum(sums.to(self.args.device, torch.float32))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the mean loss of all steps since the last line, including those before a resume."""
        if "loss" in logs:
            logs["loss"] = float(np.mean(self._unlogged))
            self._unlogged.clear()
        super().log(logs, start_time)

    # -- what is saved --------------------------------------------------------------------

    def plain_model(self) -> HyenaDNAForCausalLM:
        """Return the unwrapped model; every process must call this.

        With FSDP only the process that saves receives the trained weights.
        """
        if not self.is_fsdp_enabled:
            return cast("HyenaDNAForCausalLM", self.accelerator.unwrap_model(self.model))
        weights = self.accelerator.get_state_dict(self.model)
        plain = HyenaDNAForCausalLM(self.accelerator.unwrap_model(self.model).config)
        if self.args.should_save:
            plain.load_state_dict(weights)
        return plain

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model with `load.save`."""
        model = self.plain_model()
        if self.args.should_save and output_dir is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            save(model, Path(output_dir))

    def check_weights(self) -> None:
        """Raise a WorkError if a weight is not a finite number."""
        if self._n_not_finite():
            raise WorkError(
                f"weights after step {self.state.global_step} are NaN or infinite; the last good "
                f"checkpoint is {self._checkpoints.newest() or 'none'}; lower learning_rate and "
                "restart"
            )

    def save_own(self, folder: Path) -> None:
        """Write the losses that are not yet logged."""
        (folder / _UNLOGGED).write_text(json.dumps(self._unlogged), encoding="utf-8")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load optimiser, schedule and the losses that were not yet logged."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self._unlogged = json.loads((Path(checkpoint) / _UNLOGGED).read_text(encoding="utf-8"))

    def _n_not_finite(self) -> int:
        """Count the weights of all processes that are NaN or infinite."""
        shares = (getattr(p, "to_local", lambda p=p: p)() for p in self._prepared.parameters())
        counts = [(~torch.isfinite(share.detach())).sum() for share in shares]
        return int(self._sum(torch.stack(counts).sum()))

    # Each step seeds its own random numbers, so checkpoints need not hold the generator's state.
    def _save_rng_state(self, output_dir: str) -> None:
        pass

    def _load_rng_state(self, checkpoint: str | None) -> None:
        pass


def seed_of_step(seed: int, step: int, process: int) -> int:
    """Return the seed of all random numbers (such as dropout) of a process in a step."""
    sequence = np.random.SeedSequence([seed, step, process])
    return int(sequence.generate_state(1, np.uint64)[0])
