"""Parts of a long piece of work that are done, kept beside its output until it is whole."""

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
    """Arrays by name, in a folder beside an output; those of another request are removed.

    Parameters
    ----------
    output
        The file that they will become.
    request
        All that decides what they are.
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
        """Remove what is of another request, but not the folder, which may be locked."""
        note = self._folder / "request.json"
        change = "no note says of which"
        if note.is_file():
            change = difference(json.loads(note.read_text(encoding="utf-8")), request)
        if not change:
            return
        others = [*self._folder.iterdir()]
        if others:
            _log.info("starting anew: what is kept is of another request (%s)", change)
        for file in others:
            file.unlink()
        with whole_file(note) as stream:
            json.dump(request, stream)

    def __contains__(self, name: str) -> bool:
        return self._file(name).is_file()

    def save(self, name: str, values: np.ndarray) -> None:
        """Keep a part; after a kill it is there whole or not at all."""
        with whole_path(self._file(name)) as part, part.open("wb") as stream:
            np.save(stream, values)

    def load(self, name: str) -> np.ndarray:
        """Give a part."""
        return np.load(self._file(name))

    def remove(self) -> None:
        """Remove all: the output is whole."""
        shutil.rmtree(self._folder)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.npy"


@contextmanager
def kept_parts(output: Path, request: Mapping[str, Any]) -> Generator[Parts]:
    """Give the `Parts` of an output; they are removed at the end of work that succeeds.

    Raises
    ------
    InputError
        If another process is making them.
    """
    with only_writer(output, is_folder=False):
        parts = Parts(output, request)
        yield parts
        parts.remove()
