"""Write the metrics of a pretraining run as JSON lines, and show its progress."""

import json
import logging
import math
import time
from typing import IO, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from megabase.run.log import Meter
from megabase.training.length_schedule import LengthSchedule

_log = logging.getLogger(__name__)

_PREFIX = "eval_"  # the Trainer's prefix of metrics on validation windows


class MetricsCallback(TrainerCallback):
    """Write a line whenever the Trainer logs, and update the progress.

    Each line has the step, the tokens seen and the seconds of training. A training line adds
    the context length, the loss in nats, the norm of the gradient, the learning rate and the
    tokens per second; a validation line adds the validation loss, also of each genome if there
    are several.

    Parameters
    ----------
    file
        The file of metrics.
    meter
        Counts steps.
    schedule
        The length schedule, which gives the tokens of each step.
    seconds_before
        Seconds that the run had taken up to the checkpoint from which it resumes.
    """

    def __init__(
        self, file: IO[str], meter: Meter, schedule: LengthSchedule, seconds_before: float
    ) -> None:
        self._file = file
        self._meter = meter
        self._schedule = schedule
        self._started = self._step_started = time.monotonic()
        self._busy = 0.0
        self._seconds_before = seconds_before
        self._last_tokens = 0
        self._note = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock at the step from which the run starts or resumes."""
        self._started = time.monotonic()
        self._last_tokens = self._schedule.tokens_before(state.global_step)
        self._meter.skip(state.global_step)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock of a step; validation and saving between steps do not count."""
        self._step_started = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count a step."""
        self._busy += time.monotonic() - self._step_started
        length = self._schedule.at(state.global_step - 1).length
        self._meter.advance(note=f"context {length:,}, {self._note}")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Write a line of metrics."""
        logs = logs or {}
        tokens = self._schedule.tokens_before(state.global_step)
        line: dict[str, float] = {"step": state.global_step, "tokens": tokens}
        line["seconds"] = self._seconds_before + time.monotonic() - self._started
        if "loss" in logs:
            line["context_length"] = self._schedule.at(state.global_step - 1).length
            line |= {key: float(logs[key]) for key in ("loss", "grad_norm", "learning_rate")}
            line["tokens_per_second"] = self._rate(tokens)
            self._note = (
                f"loss {_in_units(logs['loss'])}, {line['tokens_per_second']:,.0f} tokens/s"
            )
        elif f"{_PREFIX}loss" in logs:
            measured = {key: value for key, value in logs.items() if key.startswith(_PREFIX)}
            step, loss = f"{state.global_step:,}", _in_units(logs[f"{_PREFIX}loss"])
            _log.info("validation after step %s: %s", step, loss)
            line |= {f"validation_{key.removeprefix(_PREFIX)}": v for key, v in measured.items()}
        else:
            return
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _rate(self, tokens: int) -> float:
        """Return the tokens per second of the steps since the last training line."""
        rate = (tokens - self._last_tokens) / self._busy
        self._last_tokens, self._busy = tokens, 0.0
        return rate


def _in_units(nats: float) -> str:
    return f"{nats:.4f} nats per base ({nats / math.log(2):.4f} bits)"


class LastStepCallback(TrainerCallback):
    """Log and validate at the last step, whatever the intervals; every process needs it."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Request both at the last step."""
        if state.global_step == state.max_steps:
            control.should_log = True
            control.should_evaluate = args.eval_strategy == "steps"
