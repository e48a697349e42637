"""The Trainer for labelled sequences, with early stopping on validation."""

import json
import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainingArguments

from megabase.data.labelled_dataset import Examples, Inputs, StepBatches, passes
from megabase.errors import DivergedError
from megabase.inference.predictions import joined_predictions
from megabase.metrics.task_metrics import Kind, metrics_of
from megabase.model.heads import (
    PredictsEachToken,
    SequenceModel,
    losses,
    token_losses,
    token_weights,
)
from megabase.runtime.log import Meter
from megabase.training.adaptation import moving, set_training
from megabase.training.arguments import decayed_parameters
from megabase.training.checkpoint import Checkpoints, step_of
from megabase.training.run_config import AdaptConfig
from megabase.training.trainer import EpochCheckpoints, ResumableTrainer, StepsFromNow

_LESS_IS_BETTER = ("loss", "mse")
_MOVING, _BEST, _STATE = "moving.pt", "best.pt", "finetune_state.json"  # files of a checkpoint
_WRAPPED = "forward"  # the instance attribute by which accelerate wraps forward in autocast


class FinetuneTrainer(ResumableTrainer):
    """Fine-tune a model, measure validation after each epoch, and keep the best weights.

    Parameters
    ----------
    model
        The model; only parameters with `requires_grad` are trained.
    arguments
        The result of `finetune_arguments`.
    config
        The configuration of the run.
    steps
        The batch of each step.
    validation
        The validation split, which selects the best epoch.
    kind
        Kind of the labels.
    class_weights
        Weight of each class in the loss; None: all equal.
    rows_per_pass
        Number of rows per forward pass; a step accumulates the gradients of its passes.
    checkpoints
        Where the state is saved, with the current and the best values of the trained weights.

    Attributes
    ----------
    epochs
        The measurements after each epoch: ``loss``, ``training_loss`` and the metrics of the
        kind.
    best_epoch
        Index of the best epoch in `epochs`.
    """

    def __init__(
        self,
        model: SequenceModel,
        arguments: TrainingArguments,
        *,
        config: AdaptConfig,
        steps: StepBatches,
        validation: Examples,
        kind: Kind,
        class_weights: Float64[np.ndarray, " class"] | None,
        rows_per_pass: int,
        checkpoints: Checkpoints,
    ) -> None:
        super().__init__(
            cast("nn.Module", model),
            arguments,
            steps=steps,
            validation=validation,
            checkpoints=checkpoints,
        )
        self.add_callback(EpochCheckpoints(config.checkpoint_every))
        self.epochs: list[dict[str, float]] = []
        self.best_epoch = 0
        self._classifier = model
        self._per_base = isinstance(model, PredictsEachToken)
        self._config = config
        self._steps = steps
        self._validation = validation
        self._kind: Kind = kind
        self._class_weights = class_weights
        self._rows_per_pass = rows_per_pass
        self._best: dict[str, Tensor] = {}
        self._training_losses: list[Tensor] = []
        self._drawn_from: str | None = None  # checkpoint whose random state is still to be loaded
        self._started = Seconds(0.0, 0.0).until_now()

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the batch of each step, in order, from the current step on."""
        return DataLoader(
            self._steps,
            batch_size=None,
            sampler=StepsFromNow(self, len(self._steps)),
            pin_memory=self.args.dataloader_pin_memory,
        )

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return the names of the parameters with weight decay."""
        return decayed_parameters(model)

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Accumulate the gradient of a step over its passes, and return the loss of the step."""
        super()._load_rng_state(self._drawn_from)
        self._drawn_from = None
        set_training(self._classifier, self._config.adapt)
        batch = cast("Inputs", self._prepare_inputs(inputs))
        weights = self._weights(batch["labels"])
        # The sum is 0 if no base of the step has a label; the loss is then 0, not NaN.
        whole = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
        total = torch.zeros((), device=self.args.device)
        for part, part_weights in self._passes(batch, weights):
            labels = part.pop("labels")
            logits, shape = model(**part).logits, self._classifier.config
            each = (token_losses if self._per_base else losses)(logits, labels, shape)
            loss = (each * part_weights).sum() / whole
            self.accelerator.backward(loss)
            total += loss.detach()
        self._training_losses.append(total)
        return total

    def _passes(self, batch: Inputs, weights: Tensor) -> Iterator[tuple[Inputs, Tensor]]:
        """Yield the passes of a step, each padded only to its longest row."""
        tokens, mask = batch["input_ids"], batch.get("attention_mask")
        whole = torch.full((len(tokens),), tokens.shape[1])
        lengths = (whole if mask is None else mask.sum(dim=1)).cpu().numpy()
        for rows in passes(lengths, self._rows_per_pass):
            shortest, longest = lengths[rows].min(), lengths[rows].max()
            part: Inputs = {"input_ids": tokens[rows, :longest]}
            if mask is not None and shortest < longest:
                part["attention_mask"] = mask[rows, :longest]
            columns = slice(longest) if self._per_base else ...
            part["labels"] = batch["labels"][rows, columns]
            yield part, weights[rows, columns]

    def _weights(self, labels: Tensor) -> Tensor:
        """Return the weight of each row or base in the loss."""
        weights = (
            token_weights(labels)
            if self._per_base
            else torch.ones(len(labels), device=labels.device)
        )
        if self._class_weights is None:
            return weights
        table = torch.from_numpy(self._class_weights).float().to(labels.device)
        return weights * table[labels.clamp(min=0)]  # uncounted bases are negative, and weigh 0

    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Measure validation; keep the weights if they are the best so far; stop if `is_done`."""
        self._classifier.eval()
        labels = self._validation.targets()
        answers = self._validation.counted(self.answers(self._validation))
        measured = {
            "training_loss": float(torch.stack(self._training_losses).mean()),
            "loss": self._validation_loss(labels, answers),
            **metrics_of(self._kind, labels, answers),
        }
        self._training_losses.clear()
        if not math.isfinite(measured["training_loss"]):
            raise DivergedError("the loss is NaN or infinite; lower learning_rate or clip_norm")
        self.epochs.append(measured)
        if not self._best or self._is_better(measured, self.epochs[self.best_epoch]):
            self.best_epoch, self._best = len(self.epochs) - 1, moving(self._classifier)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, {f"{metric_key_prefix}_loss": measured["loss"]}
        )
        if self.is_done:
            self.control.should_training_stop = True
        return measured

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or validation has not improved for `patience` epochs."""
        n_worse = len(self.epochs) - 1 - self.best_epoch
        patience = self._config.patience
        is_worse = bool(self.epochs) and patience is not None and n_worse >= patience
        return is_worse or len(self.epochs) == self._config.epochs

    def answers(self, examples: Examples) -> Shaped[np.ndarray, "row ..."]:
        """Return the model's predictions for sequences, in float32.

        They are probabilities (row, class) or (row, label), or values; if each base has a label,
        the bases of all rows are concatenated.
        """
        strand = self._config.strand
        with _as_saved(self._classifier):
            return joined_predictions(self._classifier, examples.sequences, strand=strand)

    def record(self) -> dict[str, Any]:
        """Return the best epoch, counted from 1, the measurements of all epochs, and the best."""
        return {
            "best_epoch": self.best_epoch + 1,
            "epochs": self.epochs,
            "validation": self.epochs[self.best_epoch],
        }

    def load_best(self) -> None:
        """Load the weights of the best epoch into the model and put it into evaluation mode."""
        self._classifier.load_state_dict(self._best, strict=False)
        self._classifier.eval()
        vars(self._classifier).pop(_WRAPPED, None)

    # -- what is saved --------------------------------------------------------------------

    def restore(self) -> int:
        """Load epochs and best weights from the newest checkpoint; return its step.

        The step is 0 without a checkpoint. `go_on` loads the rest of the state.
        """
        newest = self._checkpoints.newest()
        if newest is None:
            return 0
        state = json.loads((newest / _STATE).read_text(encoding="utf-8"))
        self.epochs, self.best_epoch = state["epochs"], state["best_epoch"]
        self._training_losses = list(
            torch.tensor(state["training_losses"], device=self.args.device)
        )
        self._best = torch.load(newest / _BEST, weights_only=True)
        self._started = Seconds(*state["seconds"]).until_now()
        return step_of(newest)

    def seconds(self) -> "Seconds":
        """Return how long the training has taken, including the time before interruptions."""
        return self._started.until_now()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the trained weights; the frozen ones are restored with the starting model."""
        if output_dir is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            torch.save(moving(self._classifier), Path(output_dir) / _MOVING)

    def save_own(self, folder: Path) -> None:
        """Write the best weights so far, and the measurements."""
        torch.save(self._best, folder / _BEST)
        state = {
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "training_losses": [float(loss) for loss in self._training_losses],
            "seconds": list(self.seconds()),
        }
        (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        weights = torch.load(
            Path(resume_from_checkpoint) / _MOVING, map_location="cpu", weights_only=True
        )
        self._classifier.load_state_dict(weights, strict=False)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Postpone loading to the first step, because the data loader draws a number before it."""
        self._drawn_from = checkpoint

    # -- what is measured -----------------------------------------------------------------

    def _validation_loss(
        self, labels: Shaped[np.ndarray, "row ..."], answers: Shaped[np.ndarray, "row ..."]
    ) -> float:
        """Return the loss of predictions.

        It is the cross-entropy in nats (for multilabel data, the mean over labels), or the squared
        error in units of the training values' standard deviation.
        """
        if self._kind == "regression":
            (scale,) = cast("list[float]", self._classifier.config.target_scale)
            return float(np.mean(((answers - labels) / scale) ** 2))
        if self._kind == "multilabel":
            of_truth = np.where(labels.astype(bool), answers, 1 - answers)
            return float(np.mean(-np.log(np.maximum(of_truth, 1e-30))))
        of_label = answers[np.arange(len(labels)), labels]
        weights = (
            np.ones(len(labels)) if self._class_weights is None else self._class_weights[labels]
        )
        return float(np.average(-np.log(np.maximum(of_label, 1e-30)), weights=weights))

    def _is_better(self, measured: dict[str, float], best: dict[str, float]) -> bool:
        return is_better(self._config.select, measured, best)


class Seconds(NamedTuple):
    """Wall-clock and processor seconds (of all threads): a time span, or its start."""

    wall: float
    processor: float

    def until_now(self) -> "Seconds":
        """Return the span since a start; for a span, the start that would make it end now."""
        return Seconds(time.perf_counter() - self.wall, time.process_time() - self.processor)


@contextmanager
def _as_saved(model: SequenceModel) -> Generator[None]:
    """Let a model predict in float32, as the saved model will, whatever its training precision."""
    wrapped = vars(model).pop(_WRAPPED, None)
    try:
        yield
    finally:
        if wrapped is not None:
            vars(model)[_WRAPPED] = wrapped


def is_better(select: str, measured: dict[str, float], best: dict[str, float]) -> bool:
    """Return whether a measurement is better than the best so far; NaN never is.

    Parameters
    ----------
    select
        The metric to compare; of ``loss`` and ``mse`` less is better, of all others more.
    measured, best
        The metrics of both, by name.
    """
    new, old = measured[select], best[select]
    if math.isnan(old):
        return not math.isnan(new)
    return new < old if select in _LESS_IS_BETTER else new > old


class StepMeter(TrainerCallback):
    """Show progress in epochs of all seeds, with the latest validation loss.

    Parameters
    ----------
    meter
        Counts epochs.
    note
        Text to show next to the count.
    """

    def __init__(self, meter: Meter, note: str) -> None:
        self._meter = meter
        self._note = note

    def on_evaluate(self, *_: Any, metrics: dict[str, float] | None = None, **__: Any) -> None:
        """Count an epoch."""
        loss = (metrics or {}).get("eval_loss", math.nan)
        self._meter.advance(note=f"{self._note}, validation loss {loss:.4f}")
