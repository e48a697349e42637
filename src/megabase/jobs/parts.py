"""Finished parts of a long computation, saved next to its output until that is complete."""

import json
import logging
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from megabase.run.log import counted
from megabase.run.output import difference, only_writer, parts_folder, whole_file, whole_path

_log = logging.getLogger(__name__)


class Parts:
    """Arrays by name, saved in a folder next to an output; those of another request are removed.

    Parameters
    ----------
    output
        The file to be written from them.
    request
        Everything that determines their values.
    """

    def __init__(self, output: Path, request: Mapping[str, Any]) -> None:
        self._folder = parts_folder(output)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._keep_those_of(json.loads(json.dumps(request)))
        self.n_found = sum(1 for _ in self._folder.glob("*.npy"))
        if self.n_found:
            _log.info(
                "%s was interrupted: %s done", output, counted(self.n_found, "part is", "parts are")
            )

    def _keep_those_of(self, request: Mapping[str, Any]) -> None:
        """Remove the files of another request, but not the folder, which may be locked."""
        note = self._folder / "request.json"
        change = "which is not recorded"
        if note.is_file():
            change = difference(json.loads(note.read_text(encoding="utf-8")), request)
        if not change:
            return
        others = [*self._folder.iterdir()]
        if others:
            _log.info("starting over: the saved parts are of another request (%s)", change)
        for file in others:
            file.unlink()
        with whole_file(note) as stream:
            json.dump(request, stream)

    def __contains__(self, name: str) -> bool:
        return self._file(name).is_file()

    def save(self, name: str, values: np.ndarray) -> None:
        """Save a part; if interrupted, it is either complete or absent."""
        with whole_path(self._file(name)) as part, part.open("wb") as stream:
            np.save(stream, values)

    def load(self, name: str) -> np.ndarray:
        """Return a saved part."""
        return np.load(self._file(name))

    def remove(self) -> None:
        """Remove all parts, once the output is complete."""
        shutil.rmtree(self._folder)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.npy"


@contextmanager
def kept_parts(output: Path, request: Mapping[str, Any]) -> Generator[Parts]:
    """Yield the `Parts` of an output; they are removed if the block succeeds.

    Parameters
    ----------
    output
        The file to be written.
    request
        Everything that determines the parts.

    Raises
    ------
    InputError
        If another process is writing the same output.
    """
    with only_writer(output, is_folder=False):
        parts = Parts(output, request)
        yield parts
        parts.remove()
