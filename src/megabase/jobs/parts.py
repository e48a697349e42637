"""Parts of a long piece of work that are done, kept beside its output until it is whole."""

import json
import logging
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from megabase.run.output import only_writer

_log = logging.getLogger(__name__)


@contextmanager
def kept_parts(output: Path, request: Mapping[str, Any]) -> Generator["Parts"]:
    """Give the parts of an output to one process at a time; remove them if nothing was raised.

    Raises
    ------
    InputError
        If another process is making the same output.
    """
    with only_writer(_folder(output)):
        parts = Parts(output, request)
        yield parts
        parts.remove()


def _folder(output: Path) -> Path:
    return output.with_name(f".{output.name}.parts")


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
        self._folder = _folder(output)
        self._folder.mkdir(parents=True, exist_ok=True)
        note, text = self._folder / "request.json", json.dumps(request)
        if not note.is_file() or note.read_text() != text:
            for file in self._folder.iterdir():  # the folder itself may be locked
                file.unlink()
            note.write_text(text)
        self.n_found = sum(1 for _ in self._folder.glob("*.npy"))
        if self.n_found:
            _log.info("%s was interrupted: %s parts are done", output, f"{self.n_found:,}")

    def __contains__(self, name: str) -> bool:
        return self._file(name).is_file()

    def save(self, name: str, values: np.ndarray) -> None:
        """Keep a part; after a kill it is there whole or not at all."""
        half = self._folder / f"{name}.half"
        with half.open("wb") as stream:
            np.save(stream, values)
        half.replace(self._file(name))

    def load(self, name: str) -> np.ndarray:
        """Give a part."""
        return np.load(self._file(name))

    def remove(self) -> None:
        """Remove all: the output is whole."""
        shutil.rmtree(self._folder)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.npy"
