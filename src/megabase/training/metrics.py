"""The metrics of a run as JSON lines, and its progress."""

import json
import math
import time
from typing import IO, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from megabase.errors import WorkError
from megabase.run.log import Meter


class MetricsCallback(TrainerCallback):
    """Writes a line whenever the Trainer logs, and moves the progress on.

    A line holds the step, the tokens seen, seconds since the start, and of a training
    line the loss in nats, the norm of the gradient, the learning rate and tokens per
    second, of a validation line the validation loss.

    Parameters
    ----------
    file
        Where the lines go.
    meter
        Counts steps.
    tokens_per_step
        Tokens of all windows of a step.
    """

    def __init__(self, file: IO[str], meter: Meter, tokens_per_step: int) -> None:
        self._file = file
        self._meter = meter
        self._tokens_per_step = tokens_per_step
        self._started = self._training_seconds = 0.0
        self._last_tokens = 0
        self._note = ""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._started = self._since = time.monotonic()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Count a step."""
        self._meter.advance(note=self._note)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Write the line; stop the run if its loss is no number."""
        logs = logs or {}
        tokens = state.global_step * self._tokens_per_step
        line: dict[str, float] = {"step": state.global_step, "tokens": tokens}
        line["seconds"] = time.monotonic() - self._started
        if "loss" in logs:
            line |= {key: logs[key] for key in ("loss", "grad_norm", "learning_rate")}
            line["tokens_per_second"] = self._rate(tokens)
            self._note = f"loss {logs['loss']:.4f}, {line['tokens_per_second']:,.0f} tokens/s"
        elif "eval_loss" in logs:
            line["validation_loss"] = logs["eval_loss"]
        else:
            return
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if not all(map(math.isfinite, line.values())):
            raise WorkError(
                f"the loss at step {state.global_step} is no number; lower learning_rate"
            )

    def _rate(self, tokens: int) -> float:
        """Tokens per second since the last training line."""
        now = time.monotonic()
        rate = (tokens - self._last_tokens) / (now - self._since)
        self._last_tokens, self._since = tokens, now
        return rate
