"""Run an evaluation in cells: each is measured once and saved, and skipped when the run resumes."""

import json
import logging
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from megabase.metrics.task_metrics import Predictions
from megabase.runtime.artifacts import (
    Output,
    atomic_files,
    atomic_path,
    clear_temporary,
    exclusive_lock,
)
from megabase.runtime.interruption import interruptible
from megabase.runtime.log import Meter

_log = logging.getLogger(__name__)

_ANSWERS = ".npy"
R = TypeVar("R")


class Measured(NamedTuple):
    """What a cell found: plain values for JSON, and predictions if they are saved, too."""

    result: Any
    answers: Predictions | None = None


@dataclass(frozen=True)
class Cell:
    """A part of an evaluation that is measured at once.

    Parameters
    ----------
    name
        Identifies the cell in its folder. The result is saved as ``NAME.json``; the folders
        ``NAME.checkpoints`` and ``NAME-*.checkpoints`` belong to its training.
    measure
        Measures the cell; if it was interrupted, it may resume from its checkpoints.
    size
        Units by which `measure` advances a progress meter.
    """

    name: str
    measure: Callable[[], Measured]
    size: int = 0


class Cells(Generic[R]):
    """The saved results of cells in a folder.

    Parameters
    ----------
    folder
        The folder; it is created with the first result.
    read
        Returns a result from the plain values that were saved.
    has_answers
        Whether a saved cell without readable predictions is measured again.
    """

    def __init__(
        self, folder: Path, read: Callable[[Any], R], *, has_answers: bool = False
    ) -> None:
        self._folder = folder
        self._read = read
        self._has_answers = has_answers

    def measure(self, cells: Sequence[Cell], meter: Meter | None = None) -> list[R]:
        """Return the results of cells; those that are saved are not measured again.

        Parameters
        ----------
        cells
            The cells, in the order in which they are measured.
        meter
            Progress meter that the cells advance.
        """
        saved = {cell.name: self._saved(cell.name) for cell in cells}
        n_done = sum(each is not None for each in saved.values())
        if n_done and len(cells) > 1:
            _log.info("%d of %d parts are done", n_done, len(cells))
        return [self._of(cell, saved[cell.name], meter) for cell in cells]

    def answers(self, name: str) -> Predictions:
        """Return the predictions that were saved with a cell."""
        return np.load(f"{self._file(name)}{_ANSWERS}")

    def _of(self, cell: Cell, saved: R | None, meter: Meter | None) -> R:
        if saved is None:
            found = cell.measure()
            self._save(cell.name, found)
            saved = self._read(json.loads(json.dumps(found.result)))
        elif meter is not None:
            meter.skip(cell.size)
        for pattern in (f"{cell.name}.checkpoints", f"{cell.name}-*.checkpoints"):
            for left in self._folder.glob(pattern):
                shutil.rmtree(left)
        return saved

    def _saved(self, name: str) -> R | None:
        """Return the saved result of a cell; None if there is none that can be read."""
        file = self._file(name)
        if not file.is_file():
            return None
        try:
            if self._has_answers:
                self.answers(name)
            return self._read(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            _log.warning("%s cannot be read (%s): it is measured again", file, reason)
            return None

    def _save(self, name: str, found: Measured) -> None:
        """Save a result; if interrupted, it is either complete, with its predictions, or absent."""
        companions = () if found.answers is None else (_ANSWERS,)
        with atomic_path(self._file(name), *companions) as part:
            if found.answers is not None:
                np.save(f"{part}{_ANSWERS}", found.answers)
            part.write_text(json.dumps(found.result), encoding="utf-8")

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


class Runner:
    """The folder of an evaluation: the work in a subfolder until the report is complete.

    Parameters
    ----------
    output
        The folder.
    request
        Everything that determines the report. A folder of another request is refused.
    report
        Name of the JSON file of the report.
    work
        Name of the subfolder of the cells.
    keeps_work
        Whether this subfolder belongs to the finished evaluation.
    overwrite
        Replace an existing output.

    Attributes
    ----------
    work
        The subfolder of the cells.
    is_finished
        Whether the same request has already finished this folder.

    Raises
    ------
    InputError
        If the folder cannot be written, or is of another request and `overwrite` is false.
    """

    def __init__(
        self,
        output: Path,
        request: Mapping[str, Any],
        *,
        report: str,
        work: str,
        keeps_work: bool = False,
        overwrite: bool = False,
    ) -> None:
        self._place = Output(output, request, is_folder=True, overwrite=overwrite)
        self._report = output / report
        self.work = output / work
        self._keeps_work = keeps_work
        self.is_finished = self._place.is_finished

    def report(self) -> dict[str, Any]:
        """Return the report of the finished folder; what a kill at the very end left is removed."""
        self._remove_work()
        return json.loads(self._report.read_text(encoding="utf-8"))

    @contextmanager
    def running(self) -> Generator[None]:
        """Lock the folder while its cells are measured; signals leave it resumable.

        The work of another request, which is to be replaced, is removed.

        Raises
        ------
        InputError
            If another process is writing the folder.
        """
        output = self._place.path
        with exclusive_lock(output), interruptible(output):
            if self._place.unfinished is None:
                shutil.rmtree(self.work, ignore_errors=True)
            else:
                _log.info("%s was interrupted: resuming after the finished work", output)
                for folder in filter(Path.is_dir, (self.work, *self.work.glob("*"))):
                    clear_temporary(folder)
            self._place.start()
            yield

    @contextmanager
    def finishing(self, report: object) -> Generator[Path]:
        """Write the report, and yield a folder for further files; all appear at the end.

        Parameters
        ----------
        report
            The report, as plain values.
        """
        with atomic_files(self._place.path) as folder:
            text = json.dumps(report, indent=2) + "\n"
            (folder / self._report.name).write_text(text, encoding="utf-8")
            yield folder
        self._place.finish()
        self._remove_work()

    def _remove_work(self) -> None:
        if not self._keeps_work:
            shutil.rmtree(self.work, ignore_errors=True)
