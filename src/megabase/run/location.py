"""Where things lie: a path, or asset:NAME for what ships with the package."""

import os
from importlib.resources import files
from pathlib import Path

from megabase.errors import InputError

_ASSET = "asset:"
_GENOMES = {"ecoli": "ecoli.2bit"}


def genome_path(text: str) -> Path:
    """Give the file that a genome's name stands for.

    Parameters
    ----------
    text
        A path, or ``asset:NAME``; the one shipped genome is ``asset:ecoli``.

    Raises
    ------
    InputError
        If no genome of that name ships with the package.
    """
    if not text.startswith(_ASSET):
        return Path(text)
    name = text.removeprefix(_ASSET)
    if name not in _GENOMES:
        shipped = ", ".join(_ASSET + known for known in _GENOMES)
        raise InputError(f"the shipped genomes are {shipped}; got {text!r}")
    return Path(str(files("megabase") / "assets" / _GENOMES[name]))


def cache_folder() -> Path:
    """Give the folder for what can be made again: indexes, unpacked files, tokens.

    It is ``$MEGABASE_CACHE`` if set, else ``megabase`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if own := os.environ.get("MEGABASE_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "megabase"
    try:
        return Path.home() / ".cache" / "megabase"
    except RuntimeError as error:
        raise InputError("there is no home folder for the cache; set MEGABASE_CACHE") from error
