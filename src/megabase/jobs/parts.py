"""Parts of a long piece of work that are done, kept beside its output until it is whole."""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

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
        self._folder = output.with_name(f".{output.name}.parts")
        note, text = self._folder / "request.json", json.dumps(request)
        if not note.is_file() or note.read_text() != text:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
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
