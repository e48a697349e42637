"""Run work in cells: each is computed once and saved, and skipped when the run resumes."""

import json
import logging
import re
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from megabase.runtime.artifacts import (
    Output,
    atomic_files,
    atomic_folder,
    atomic_path,
    clear_temporary,
    exclusive_lock,
)
from megabase.runtime.interruption import interruptible
from megabase.runtime.log import Meter

_log = logging.getLogger(__name__)

F = TypeVar("F")
R = TypeVar("R")


@dataclass(frozen=True)
class Cell(Generic[F]):
    """A part of a run that is computed at once.

    Parameters
    ----------
    name
        Identifies the cell in its folder. The folders ``NAME.checkpoints`` and
        ``NAME-*.checkpoints`` belong to its training.
    compute
        Computes the cell; if it was interrupted, it may resume from its checkpoints.
    size
        Units by which `compute` advances a progress meter.
    title
        If not empty, a line of the log says that a cell of this title is already finished.
    """

    name: str
    compute: Callable[[], F]
    size: int = 0
    title: str = ""


class Cells(Generic[F, R]):
    """The saved results of cells in a folder, which only one process writes at a time.

    A result is a file or a folder. If interrupted, it is either complete or absent.

    Parameters
    ----------
    folder
        The folder; it is created with the first result.
    save
        Writes to a path what a cell has computed.
    load
        Reads a result from its path.
    suffix
        What follows the name of the cell in the name of its file.
    companions
        Suffixes of files that `save` writes next to the path; they are saved together.
    is_folder
        Whether a result is a folder.
    """

    def __init__(
        self,
        folder: Path,
        save: Callable[[F, Path], None],
        load: Callable[[Path], R],
        *,
        suffix: str = "",
        companions: Sequence[str] = (),
        is_folder: bool = False,
    ) -> None:
        self._folder = folder
        self._save = save
        self._load = load
        self._suffix = suffix
        self._companions = companions
        self._is_folder = is_folder

    def compute(self, cells: Sequence[Cell[F]], meter: Meter | None = None) -> list[R]:
        """Return the results of cells; those that are saved are not computed again.

        Parameters
        ----------
        cells
            The cells, in the order in which they are computed.
        meter
            Progress meter that the cells advance.
        """
        saved = [self._saved(cell.name) for cell in cells]
        n_done = sum(each is not None for each in saved)
        if n_done and len(cells) > 1:
            _log.info("%d of %d parts are done", n_done, len(cells))
        return [self._of(cell, each, meter) for cell, each in zip(cells, saved, strict=True)]

    def one(self, cell: Cell[F], meter: Meter | None = None) -> R:
        """Return the result of one cell, which is not computed again if it is saved."""
        return self.compute([cell], meter)[0]

    def path(self, name: str) -> Path:
        """Return the path of the result of a cell."""
        return self._folder / f"{name}{self._suffix}"

    def _of(self, cell: Cell[F], saved: R | None, meter: Meter | None) -> R:
        if saved is None:
            self._compute(cell)
            saved = self._load(self.path(cell.name))
        else:
            if cell.title:
                _log.info("%s is already finished", cell.title)
            if meter is not None:
                meter.skip(cell.size)
        for pattern in (f"{cell.name}.checkpoints", f"{cell.name}-*.checkpoints"):
            for left in self._folder.glob(pattern):
                shutil.rmtree(left)
        return saved

    def _compute(self, cell: Cell[F]) -> None:
        """Compute a cell and save its result; what a killed process left of it is removed first."""
        path = self.path(cell.name)
        if self._folder.is_dir():
            clear_temporary(self._folder, re.escape(path.name))
        found = cell.compute()
        with self._written(path) as part:
            self._save(found, part)

    def _saved(self, name: str) -> R | None:
        """Return the saved result of a cell; None if there is none that can be read."""
        path = self.path(name)
        if not path.exists():
            return None
        try:
            return self._load(path)
        except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            _log.warning("%s cannot be read (%s): it is computed again", path, reason)
            return None

    def _written(self, path: Path) -> AbstractContextManager[Path]:
        """Return a context with a temporary path of a result, which becomes `path` at its end."""
        if self._is_folder:
            return atomic_folder(path)
        return atomic_path(path, *self._companions, suffix=path.suffix)


def json_cells(folder: Path, read: Callable[[Any], R]) -> Cells[Any, R]:
    """Return cells that compute plain values, each saved as ``NAME.json``.

    Parameters
    ----------
    folder
        The folder.
    read
        Returns a result from the plain values that were saved.
    """
    return Cells(folder, save_json, lambda path: read(load_json(path)), suffix=".json")


def save_json(values: object, path: Path) -> None:
    """Write plain values as JSON."""
    path.write_text(json.dumps(values), encoding="utf-8")


def load_json(path: Path) -> Any:  # noqa: ANN401 whatever was saved
    """Read plain values from JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


class Runner:
    """The folder of a run: the work in a subfolder until the report is complete.

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
        Whether this subfolder belongs to the finished run.
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
        if self.is_finished:  # what a kill at the very end left
            self._remove_work()

    def report(self) -> dict[str, Any]:
        """Return the report of the finished folder."""
        return load_json(self._report)

    @contextmanager
    def running(self) -> Generator[None]:
        """Lock the folder while its cells are computed; signals leave it resumable.

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
            self._place.start()
            yield

    @contextmanager
    def finishing(
        self, report: object, *, folders: Sequence[str] = (), **results: Any
    ) -> Generator[Path]:
        """Write the report, and yield a folder for further files; all appear at the end.

        Parameters
        ----------
        report
            The report, as plain values.
        folders
            Names of subfolders whose files belong to the output; they may be absent.
        results
            Values for the record of the folder.
        """
        with atomic_files(self._place.path) as folder:
            text = json.dumps(report, indent=2) + "\n"
            (folder / self._report.name).write_text(text, encoding="utf-8")
            yield folder
        self._place.finish(folders=folders, **results)
        self._remove_work()

    def _remove_work(self) -> None:
        if not self._keeps_work:
            shutil.rmtree(self.work, ignore_errors=True)
