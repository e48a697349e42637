"""Where an interrupted run resumes: whole checkpoints, and the metrics up to there."""

import json
import logging
import math
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from megabase.data.training_windows import LengthSchedule
from megabase.runtime.artifacts import atomic_file
from megabase.runtime.log import Meter

_PREFIX = "checkpoint-"  # the Trainer's prefix; the step follows
_N_KEPT = 2


class Checkpoints:
    """The checkpoints of a run; each is renamed to its final name only when it is complete.

    Parameters
    ----------
    folder
        The folder of the checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.part = folder / "part"
        """Folder in which the next checkpoint is written."""

    def newest(self) -> Path | None:
        """Return the newest complete checkpoint, or None."""
        return max(self._all(), key=step_of, default=None)

    def being_written(self, step: int) -> Path:
        """Return the temporary folder of the checkpoint of a step."""
        return self.part / f"{_PREFIX}{step}"

    def remove_part(self) -> None:
        """Remove an incomplete checkpoint, left by a run that was killed."""
        shutil.rmtree(self.part, ignore_errors=True)

    def commit(self, step: int) -> None:
        """Rename the checkpoint of a step to its final name, and keep only the newest few."""
        whole = self.being_written(step)
        target = self._folder / whole.name
        shutil.rmtree(target, ignore_errors=True)
        whole.replace(target)
        for old in sorted(self._all(), key=step_of)[:-_N_KEPT]:
            self._remove_whole(old)

    def remove(self) -> None:
        """Remove all checkpoints, the newest first, and nothing else."""
        for checkpoint in sorted(self._all(), key=step_of, reverse=True):
            self._remove_whole(checkpoint)
        self.remove_part()
        with suppress(OSError):  # the folder does not exist, or holds other files
            self._folder.rmdir()

    def _all(self) -> list[Path]:
        found = self._folder.glob(f"{_PREFIX}*")
        return [path for path in found if path.name.removeprefix(_PREFIX).isdigit()]

    def _remove_whole(self, checkpoint: Path) -> None:
        """Remove a checkpoint; rename it first, so that the final name always means complete."""
        self.remove_part()
        checkpoint.replace(self.part)
        self.remove_part()


def step_of(checkpoint: Path) -> int:
    """Return the number of steps that were done when a checkpoint was saved."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def keep_metrics(path: Path, step: int) -> list[dict[str, Any]]:
    """Truncate a file of metrics after a step, and return the lines that are kept."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()
    lines = [line for line in map(json.loads, whole) if line["step"] <= step]
    with atomic_file(path) as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return lines


_log = logging.getLogger(__name__)

_EVALUATION_PREFIX = "eval_"  # the Trainer's prefix of metrics on validation windows


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
        elif f"{_EVALUATION_PREFIX}loss" in logs:
            measured = {
                key: value for key, value in logs.items() if key.startswith(_EVALUATION_PREFIX)
            }
            step, loss = f"{state.global_step:,}", _in_units(logs[f"{_EVALUATION_PREFIX}loss"])
            _log.info("validation after step %s: %s", step, loss)
            line |= {
                f"validation_{key.removeprefix(_EVALUATION_PREFIX)}": v
                for key, v in measured.items()
            }
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
