"""Where a run that was interrupted goes on: whole checkpoints, and the metrics up to there."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from megabase.run.output import whole_file

_PREFIX = "checkpoint-"  # the Trainer's name for one, before its step
_N_KEPT = 2


class Checkpoints:
    """The checkpoints of a run: each is whole, because it is renamed when it is.

    Parameters
    ----------
    folder
        Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.part = folder / "part"
        """Where the next one is written."""

    def newest(self) -> Path | None:
        """Give the last whole one; None if there is none."""
        return max(self._all(), key=step_of, default=None)

    def being_written(self, step: int) -> Path:
        """Give the folder of the one of this step until it has its name."""
        return self.part / f"{_PREFIX}{step}"

    def remove_part(self) -> None:
        """Remove what was being written when a run was killed."""
        shutil.rmtree(self.part, ignore_errors=True)

    def commit(self, step: int) -> None:
        """Give the one of this step its name, and keep only the newest few."""
        whole = self.being_written(step)
        target = self._folder / whole.name
        shutil.rmtree(target, ignore_errors=True)
        whole.replace(target)
        for old in sorted(self._all(), key=step_of)[:-_N_KEPT]:
            self._remove_whole(old)

    def remove(self) -> None:
        """Remove all of them, the newest first, and nothing else."""
        for checkpoint in sorted(self._all(), key=step_of, reverse=True):
            self._remove_whole(checkpoint)
        self.remove_part()
        with suppress(OSError):  # it is not there, or holds what is not ours
            self._folder.rmdir()

    def _all(self) -> list[Path]:
        found = self._folder.glob(f"{_PREFIX}*")
        return [path for path in found if path.name.removeprefix(_PREFIX).isdigit()]

    def _remove_whole(self, checkpoint: Path) -> None:
        """Take its name from it first: what has the name is whole."""
        self.remove_part()
        checkpoint.replace(self.part)
        self.remove_part()


def step_of(checkpoint: Path) -> int:
    """Give the steps that were done when it was saved."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def keep_metrics(path: Path, step: int) -> list[dict[str, Any]]:
    """Cut a file of metrics back to what was written up to a step, and give these lines."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()
    lines = [line for line in map(json.loads, whole) if line["step"] <= step]
    with whole_file(path) as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return lines
