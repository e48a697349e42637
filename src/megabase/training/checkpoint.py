"""Where a run that was interrupted goes on: whole checkpoints, and the metrics up to there."""

import json
import shutil
from pathlib import Path
from typing import Any

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
        return max(self._folder.glob(f"{_PREFIX}*"), key=step_of, default=None)

    def remove_part(self) -> None:
        """Remove what was being written when a run was killed."""
        shutil.rmtree(self.part, ignore_errors=True)

    def commit(self, step: int) -> None:
        """Give the one of this step its name, and keep only the newest few."""
        target = self._folder / f"{_PREFIX}{step}"
        shutil.rmtree(target, ignore_errors=True)
        (self.part / target.name).replace(target)
        for old in sorted(self._folder.glob(f"{_PREFIX}*"), key=step_of)[:-_N_KEPT]:
            shutil.rmtree(old)

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)


def step_of(checkpoint: Path) -> int:
    """Give the steps that were done when it was saved."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def keep_metrics(path: Path, step: int) -> list[dict[str, Any]]:
    """Cut a file of metrics back to what was written up to a step, and give these lines."""
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()
    lines = [line for line in map(json.loads, whole) if line["step"] <= step]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lines
