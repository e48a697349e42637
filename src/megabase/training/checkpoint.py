"""Manage the checkpoints from which an interrupted run resumes, and the metrics up to them."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from megabase.run.output import whole_file

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
    with whole_file(path) as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return lines
